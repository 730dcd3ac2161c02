"""`sd`: what Prometheus is told to scrape, while instances come and go and the registry is away."""

import asyncio
import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from discovery.tests.cli.commands import begin, mistaken, run
from discovery.tests.etcds import V2
from discovery.tests.waiting import eventually
from grpc_discovery import MemoryRegistry, Settings
from grpc_discovery.cli.sd import Targets
from grpc_discovery.discovery import Discovery
from infra.ports import free_port


def fetch(port: int, path: str = "/targets", method: str = "GET") -> tuple[int, str]:
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def group(target: str, service: str, instance: str) -> dict[str, Any]:
    return {"targets": [target], "labels": {"service": service, "instance_name": instance}}


@pytest.mark.processes
async def test_instances_come_and_go_and_stay_while_the_registry_is_away(tmp_path: Path) -> None:
    port = free_port()
    with V2.etcd(tmp_path) as etcd:
        registry = await V2.registry(etcd.address)
        await registry.advertise("Greeter", "a", "127.0.0.1:8101", 60)
        await registry.advertise("Other", "o", "127.0.0.1:9", 60)
        process = await begin("sd", "Greeter", "--port", str(port), DISCOVERY_ETCD=etcd.address)
        assert process.stdout
        assert await process.stdout.readline() == f"targets for Prometheus: http://127.0.0.1:{port}/targets\n".encode()

        def shows(*expected: dict[str, Any]) -> bool:
            status, text = fetch(port)
            return status == 200 and json.loads(text) == list(expected)

        first, second = group("127.0.0.1:9101", "Greeter", "a"), group("[::1]:9102", "Greeter", "b")
        await eventually(lambda: asyncio.to_thread(shows, first), 10, "the first is listed, and no other service")
        await registry.advertise("Greeter", "b", "[::1]:8102", 60)
        await eventually(lambda: asyncio.to_thread(shows, first, second), 5, "the second comes")
        await registry.withdraw("Greeter", "a", "127.0.0.1:8101")
        await eventually(lambda: asyncio.to_thread(shows, second), 5, "the first goes")
        assert fetch(port, "/")[0] == 200
        assert fetch(port, "/else") == (404, "There is /targets and /metrics.\n")
        told = 'grpc_discovery_advertised{instance="[::1]:9102",instance_name="b",service="Greeter"} 1.0\n'
        assert told in fetch(port, "/metrics")[1]
        assert fetch(port, "/targets", "POST")[0] == 405
        await registry.close()
    assert await asyncio.to_thread(shows, second), "etcd is gone"
    process.terminate()
    async with asyncio.timeout(10):
        assert await process.wait() == 0


@pytest.mark.processes
async def test_before_the_registry_has_told_anything_prometheus_is_told_to_wait() -> None:
    port = free_port()
    process = await begin("sd", "Greeter", "--port", str(port), DISCOVERY_ETCD=f"127.0.0.1:{free_port()}")
    assert process.stdout
    assert await process.stdout.readline()
    assert await asyncio.to_thread(fetch, port) == (503, "the registry has not told yet of Greeter\n")
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        _, told = await process.communicate()
    assert (process.returncode, told) == (130, b"")


@pytest.mark.processes
async def test_a_taken_port_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = await run("sd", "Greeter", "--port", str(port), DISCOVERY_DISCOVERY="static")
    told = f"cannot listen on 127.0.0.1:{port} (Address already in use); --port chooses another\n"
    assert done == (1, "", told)


async def test_services_of_one_process_are_one_target_and_ports_have_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    registry = MemoryRegistry()
    for service in ("B", "A"):
        await registry.advertise(service, f"{service}-1", "h:8899", 60)
        await registry.advertise(service, "high", "h:65000", 60)
    async with Discovery(Settings(), registry=registry) as discovery:
        targets = Targets(discovery, ["B", "A"], 1000)
        for name in ("A", "B"):
            await discovery.listed(name)
        assert targets.groups() == targets.groups() == [group("h:9899", "A,B", "A-1")]
        await targets.close()
    assert capsys.readouterr().err == "h:65000 is left out: there is no port 1000 above it\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name the services that have metrics"),
        (["a/b"], "a/b"),
        (["Greeter", "--port", "70000"], "70000 is not a number from 0 to 65535"),
        (["Greeter", "--host", "a b"], "a b"),
    ],
)
def test_wrong_use_is_told(words: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    done = mistaken(["sd", *words], capfd)
    assert done.code == 2
    assert says in done.err
