"""The commands where a package of an extra is not installed."""

import asyncio
import os
import pty
from pathlib import Path

import pytest

from discovery.tests import missing
from discovery.tests.cli.commands import begin, run
from discovery.tests.cli.servers import GREETER, greeter

pytestmark = pytest.mark.processes

INSTALL = "pip install 'grpc-discovery[cli]'"


@pytest.fixture
def without(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """PYTHONPATH with which the package that a test names counts as not installed."""
    return str(missing.without(request.param, tmp_path))


@pytest.mark.parametrize("without", ["rich"], indirect=True)
async def test_a_terminal_needs_rich_and_a_pipe_does_not(without: str) -> None:
    async with greeter() as address:
        static = {"DISCOVERY_STATIC_SERVICES": f"{GREETER}={address}", "PYTHONPATH": without}
        piped = await run("list", "--discovery", "static", **static)
        assert (piped.code, address in piped.out) == (0, True), piped.err
        ours, theirs = pty.openpty()
        process = await begin("list", "--discovery", "static", stdout=theirs, **static)
        os.close(theirs)
        async with asyncio.timeout(30):
            _, told = await process.communicate()
        os.close(ours)
    assert (process.returncode, told.decode()) == (2, f"rich is not installed: {INSTALL}\n")


@pytest.mark.parametrize("without", ["grpc_reflection"], indirect=True)
async def test_a_call_needs_reflection(without: str) -> None:
    async with greeter() as address:
        done = await run("call", GREETER, "SayHello", "{}", "--address", address, PYTHONPATH=without)
    assert (done.code, done.out, done.err) == (2, "", f"grpc_reflection is not installed: {INSTALL}\n")


@pytest.mark.parametrize("without", ["uvicorn", "prometheus_client"], indirect=True)
async def test_targets_need_what_serves_them(without: str, request: pytest.FixtureRequest) -> None:
    package = request.node.callspec.params["without"]
    done = await run("sd", "Greeter", "--discovery", "static", "--port", "0", PYTHONPATH=without)
    told = f"{package} is not installed: pip install 'grpc-discovery[telemetry]'\n"
    assert (done.code, done.out, done.err) == (2, "", told)


@pytest.mark.parametrize(
    ("without", "words", "extra"),
    [
        ("etcd", ("list", "--discovery", "etcd-v2"), "grpc-discovery[etcd-v2]"),
        ("dns", ("list", "--discovery", "dns"), "grpc-discovery[dns]"),
        ("dns", ("wait", "Greeter", "--discovery", "dns"), "grpc-discovery[dns]"),
    ],
    indirect=["without"],
)
async def test_a_registry_that_needs_an_extra_names_it(without: str, words: tuple[str, ...], extra: str) -> None:
    done = await run(*words, PYTHONPATH=without, DISCOVERY_DNS_NAMES="Greeter=greeter.example")
    assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
    assert done.err.endswith(f": pip install {extra}\n")
