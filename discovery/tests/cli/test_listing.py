"""`list`, `watch` and `wait`: what they show of a registry, at which width, and what they never let through."""

import asyncio
import json
import os
import re
import signal

import pytest
from rich.console import Console

from discovery.tests.cli.commands import begin, on_terminal, run
from discovery.tests.cli.servers import GREETER, greeter
from discovery.tests.etcds import etcdctl
from grpc_discovery.cli.instances import Row
from grpc_discovery.cli.rendering import render
from infra.etcd import Etcd
from infra.ports import free_port

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on(etcd: Etcd, root: str) -> dict[str, str]:
    return {"DISCOVERY_ETCD": etcd.address, "DISCOVERY_REGISTRY_ROOT": root, "DISCOVERY_DISCOVERY": "etcd-v3"}


def static(**names: str) -> dict[str, str]:
    return {
        "DISCOVERY_DISCOVERY": "static",
        "DISCOVERY_STATIC_SERVICES": ";".join(f"{n}={a}" for n, a in names.items()),
    }


@pytest.mark.processes
async def test_every_name_is_listed_with_what_is_found_at_its_addresses(etcd: Etcd) -> None:
    web = await asyncio.start_server(lambda _, writer: writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "127.0.0.1")
    at = {"web": f"127.0.0.1:{web.sockets[0].getsockname()[1]}"}
    async with greeter() as one, greeter(tells_health=False) as other:
        for path, value in ((f"{GREETER}/slot", one), (f"{GREETER}/{other}", other), (f"web/{at['web']}", at["web"])):
            etcdctl(etcd.address, "put", f"/all/{path}", value)
        etcdctl(etcd.address, "put", "/all/gone/x", gone := f"127.0.0.1:{free_port()}")
        plain, as_json, wide, narrow = await asyncio.gather(
            run("list", **on(etcd, "/all")),
            run("list", "--json", **on(etcd, "/all")),
            on_terminal("list", columns=200, **on(etcd, "/all")),
            on_terminal("list", columns=60, **on(etcd, "/all")),
        )
    assert plain.code == 0, plain.err
    expected = {
        (GREETER, "slot", one, "serving"),
        (GREETER, other, other, "tells no health"),
        ("web", at["web"], at["web"], "no gRPC"),
        ("gone", "x", gone, "unreachable"),
    }
    assert {tuple(line.split("\t")[:4]) for line in plain.out.splitlines()} == expected
    objects = [json.loads(line) for line in as_json.out.splitlines()]
    assert {(each["service"], each["instance"], each["address"], each["health"]) for each in objects} == expected
    for text, columns in ((wide, 200), (narrow, 60)):
        shown = COLOURS.sub("", text)
        assert max(map(len, shown.splitlines())) <= columns
        assert "\u2026" not in shown
        for address in (one, other, *at.values(), gone):
            assert shown.count(address) == 1, "each is there, whole and once"
    web.close()


@pytest.mark.processes
async def test_text_from_the_registry_reaches_the_terminal_neither_raw_nor_as_markup(etcd: Etcd) -> None:
    for instance, value in (
        ("[red]x", "127.0.0.1:1"),
        ("e\x1b[2Jsc", "unix:/any\x1b.sock"),
        ("line", "a\nb:1"),
        ("_", "0.0.0.0:1"),
    ):
        etcdctl(etcd.address, "put", f"/forged/{GREETER}/{instance}", value)
    for text in (
        (await run("list", **on(etcd, "/forged"))).out,
        COLOURS.sub("", await on_terminal("list", columns=200, **on(etcd, "/forged"))),
    ):
        assert "\x1b" not in text
        assert r"unix:/any\x1b.sock" in text
        assert "a\\nb:1" in text
        assert text.count("no address") == text.count("0.0.0.0:1") + text.count("any") + text.count("nb:1") >= 2


@pytest.mark.parametrize("width", [20, 60, 200])
def test_markup_and_escape_codes_in_names_are_shown_as_they_are(width: int) -> None:
    rows = [Row("[/x]", "[/x]", "[bold]\x1b[31m", "no address", ""), Row("a" * 70, "", "", "none", "")]
    console = Console(width=width, force_terminal=True)
    with console.capture() as captured:
        for line in render(rows, width):
            console.print(line, overflow="fold", crop=False)
    shown = COLOURS.sub("", captured.get())
    assert "[/x]" in shown
    assert r"[bold]\x1b[31m" in shown.replace("\n", "")
    assert "a" * 70 in shown.replace("\n", "")
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.processes
async def test_a_name_without_instances_is_none_and_the_nearest_is_named() -> None:
    done = await run("list", "Greter", **static(Greeter="127.0.0.1:1"))
    assert (done.code, done.out) == (0, "Greter\t\t\tnone\t\n")
    assert done.err == "nothing in the registry is called Greter; did you mean Greeter?\n"


@pytest.mark.processes
async def test_an_empty_registry_is_told() -> None:
    done = await run("list", DISCOVERY_DISCOVERY="static")
    assert (done.code, done.out, done.err) == (0, "", "the registry holds no names\n")


@pytest.mark.processes
async def test_a_registry_that_gives_no_answer_ends_in_a_sentence() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    tried = [
        ("list", "auto", 3),
        ("list", "etcd-v3", 3),
        ("watch", "auto", 3),
        ("wait x", "auto", 1),
        ("call x", "auto", 1),
    ]
    given = ("--timeout", "1", "--etcd", nowhere, "--prefix", "X_", "--discovery")
    done = await asyncio.gather(*(run(*words.split(), *given, kind) for words, kind, _ in tried))
    for (_, kind, code), told in zip(tried, done, strict=True):
        assert told.code == code
        sentence = f"the registry gives no answer within 1 s (X_DISCOVERY={kind}, etcd at {nowhere})"
        assert told.err.startswith(sentence), told.err
        assert len(told.err.splitlines()) == 1


@pytest.mark.processes
async def test_a_pipe_is_told_each_change_also_of_names_that_come_later(etcd: Etcd) -> None:
    async with greeter() as address:
        etcdctl(etcd.address, "put", "/watched/first/a", address)
        process = await begin("watch", **on(etcd, "/watched"))
        assert process.stdout
        assert process.stderr

        async def told(*expected: str) -> None:
            while (await process.stdout.readline()).decode().split("\t")[1:5] != list(expected):  # type: ignore[union-attr]
                assert process.returncode is None

        async with asyncio.timeout(20):
            await told("first", "a", address, "serving")
            etcdctl(etcd.address, "put", "/watched/later/b", address)
            await told("later", "b", address, "serving")
            etcdctl(etcd.address, "del", "/watched/first/a")
            await told("first", "a", address, "gone")
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
            assert await process.stderr.read() == b""


@pytest.mark.processes
async def test_a_terminal_is_kept_up_to_date_and_ctrl_c_ends_it_quietly(etcd: Etcd) -> None:
    etcdctl(etcd.address, "put", "/live/one/a", "127.0.0.1:1")
    watching = asyncio.create_task(on_terminal("watch", columns=60, until="10.255.255.1:65000", **on(etcd, "/live")))
    etcdctl(etcd.address, "put", "/live/other/a-name-of-an-instance-that-is-long", "10.255.255.1:65000")
    shown = COLOURS.sub("", await watching)
    assert max(map(len, re.split(r"[\r\n]", shown))) <= 60
    assert "Traceback" not in shown


@pytest.mark.processes
async def test_a_reader_that_has_seen_enough_ends_it_with_0() -> None:
    reading, writing = os.pipe()
    process = await begin("list", stdout=writing, **static(x="127.0.0.1:1"))
    os.close(writing)
    os.close(reading)
    _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


@pytest.mark.processes
async def test_wait_returns_when_all_serve_and_says_who_does_not(etcd: Etcd) -> None:
    waiting = asyncio.create_task(run("wait", GREETER, "--timeout", "20", **on(etcd, "/waited")))
    async with greeter() as address:
        etcdctl(etcd.address, "put", f"/waited/{GREETER}/a", address)
        done = await waiting
        assert done.code == 0, done.err
        assert re.fullmatch(r"1 service serves after \d+\.\d s\n", done.out)
        etcdctl(etcd.address, "put", "/waited/down/b", nobody := f"127.0.0.1:{free_port()}")
        done = await run("wait", "--timeout", "1", **on(etcd, "/waited"))
        assert done.code == 1
        assert done.err == f"after 1 s there is no instance that serves of\n  down: {nobody} unreachable\n"
