"""`call`: any service, by reflection; what is printed, and which mistake is told how."""

import asyncio
import json

import pytest

from discovery.tests.cli.commands import mistaken, run
from discovery.tests.cli.servers import GREETER, V1, V1ALPHA, greeter


def static(address: str) -> dict[str, str]:
    return {"DISCOVERY_DISCOVERY": "static", "DISCOVERY_STATIC_SERVICES": f"{GREETER}={address}"}


@pytest.mark.processes
@pytest.mark.parametrize("version", [V1, V1ALPHA])
async def test_a_server_of_either_version_of_reflection_can_be_called(version: str) -> None:
    async with greeter(reflection=[version]) as address:
        short = {
            **static(address),
            "DISCOVERY_STATIC_SERVICES": f"Greeter={address}",
            "DISCOVERY_REGISTRY_NAMES": "short",
        }
        balanced, by_short_name, direct = await asyncio.gather(
            run("call", GREETER, "SayHello", '{"name": "\u00e4"}', **static(address)),
            run("call", "Greeter", "SayHello", '{"name": "\u00e4"}', **short),
            run("call", "Greeter", "SayHello", "--address", address),
        )
    for done in (balanced, by_short_name):
        assert (done.code, json.loads(done.out or "{}")) == (0, {"text": "Hello, \u00e4!", "instance": ""}), done.err
    assert (direct.code, json.loads(direct.out or "{}")["text"]) == (0, "Hello, !"), direct.err


@pytest.mark.processes
async def test_all_four_kinds_of_calls_are_made_with_metadata_there_and_back() -> None:
    async with greeter() as address:
        at = static(address)
        unary, stream, array, lines, direct = await asyncio.gather(
            run("call", GREETER, "SayHello", "--metadata", "greeting=Hi", "--verbose", **at),
            run("call", GREETER, "SayHelloOften", '{"name": "x", "times": 3}', **at),
            run("call", GREETER, "GreetTogether", '[{"name": "a"}, {"name": "b"}]', **at),
            run("call", GREETER, "Chat", "-", stdin='{"name": "a"}\n\n{"name": "b"}\n', **at),
            run("call", GREETER, "Chat", '{"name": "a"}', "--address", address, "--metadata", "a=b", "--verbose"),
        )
    assert json.loads(unary.out)["text"] == "Hi, !"
    assert unary.err == "said: ~Hi\n"
    assert [json.loads(line)["text"] for line in stream.out.splitlines()] == ["0 x", "1 x", "2 x"]
    assert json.loads(array.out)["text"] == "a and b"
    assert [json.loads(line)["text"] for line in lines.out.splitlines()] == ["a?", "b?"]
    assert (json.loads(direct.out)["text"], direct.err) == ("a?", "")


@pytest.mark.processes
async def test_an_error_is_told_with_its_details_and_without_escape_codes() -> None:
    async with greeter() as address:
        done = await run("call", GREETER, "SignGuestbook", **static(address))
    assert (done.code, done.out) == (1, "")
    told = [r"INVALID_ARGUMENT: name is \x1b[31mempty", r"  name: has\x1b no letters", "  reason: NO_NAME (greeter)"]
    assert done.err.splitlines() == told


@pytest.mark.processes
async def test_without_a_method_the_methods_are_shown_with_the_fields_of_their_requests() -> None:
    async with greeter() as address:
        done = await run("call", GREETER, **static(address))
    assert done.out.startswith(f"{GREETER}\n  SayHello (HelloRequest: name, times) returns HelloReply\n")
    assert "  Chat (stream HelloRequest: name, times) returns stream HelloReply\n" in done.out


@pytest.mark.processes
async def test_a_server_without_reflection_is_told_in_a_sentence() -> None:
    async with greeter(reflection=[]) as address:
        done = await run("call", GREETER, "SayHello", **static(address))
    assert done.code == 1
    assert done.err == "the server offers no reflection, so its methods are not known here: switch it on there\n"


async def test_generated_code_in_the_process_makes_reflection_unnecessary(capfd: pytest.CaptureFixture[str]) -> None:
    from grpc_discovery import Settings
    from grpc_discovery.cli.main import main

    async with greeter(reflection=[]) as address:
        settings = Settings.from_environment(
            "X_", {}, discovery="static", static_services=f"Greeter={address}", registry_names="short"
        )
        words = ["call", "hello-people", "SayHello", '{"name": "you"}']
        code = await asyncio.to_thread(
            main, words, program="greet", load=lambda: settings, short_names={"hello_people": GREETER}
        )
        assert (code, json.loads(capfd.readouterr().out)["text"]) == (0, "Hello, you!")
        for words in (["list"], ["list", "Greeter"], ["wait", "hello_people"]):
            assert (
                await asyncio.to_thread(main, words, load=lambda: settings, short_names={"hello_people": GREETER}) == 0
            )
            out = capfd.readouterr().out
            assert out.split("\t")[:4] == ["Greeter", address, address, "serving"] or out.startswith("1 service serves")


MISTAKES = [
    ("lst", "grpc-discovery: argument COMMAND: invalid choice: 'lst' (choose from "),
    ("list --timeout soon", "argument --timeout: soon is not a number of seconds above 0"),
    ("list a/b", "is no name of a service (letters, digits, _, - and dots, a letter first): 'a/b'"),
    ("list --discovery etc", "wrong setting DISCOVERY_DISCOVERY='etc': must be one of 'auto', "),
    ("call Gretter SayHello", "there is no instance of Gretter in the registry; did you mean acme.greeter.v1.Greeter?"),
    ("call Greeter SayHelo --address {}", "GreetTogether, Chat; did you mean SayHello?"),
    ("call Other X --address 127.0.0.1:1", "127.0.0.1:1 does not describe its methods: UNAVAILABLE: "),
    ("call Greeter SayHello --address unix:/x", "the address is not host:port: 'unix:/x'"),
    ("call Greeter SayHello {{name --address {}", "not a HelloRequest: Expecting property name"),
    ("call Greeter SayHello [] --address {}", "not a HelloRequest: [] is not a JSON object. Its fields: name, times"),
    ('call Greeter SayHello {{"nam":1}} --address {}', 'has no field named "nam"'),
    (
        "call Greeter SayHello --metadata x",
        "metadata is key=value in ASCII (keys in lower case, not grpc-... or ...-bin): 'x'",
    ),
]


async def test_each_mistake_is_told_in_one_sentence(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with greeter() as address:
        for name, value in static(address).items():
            monkeypatch.setenv(name, value)
        for words, says in MISTAKES:
            told = await asyncio.to_thread(mistaken, words.format(address).split(), capfd)
            assert told.code == (1 if "there is no instance" in says or "does not describe" in says else 2), words
            assert says in told.err, words
            assert len(told.err.splitlines()) == 1, words
            assert not told.out, words
