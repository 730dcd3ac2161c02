"""The server: where it listens, what it is advertised as, and the queues of its calls."""

import asyncio
import logging
import socket
import time
from typing import Any

import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Settings
from grpc_discovery.addresses import own_address
from grpc_discovery.serving import server as serving_server
from grpc_discovery.serving.health import ProcessHealth
from grpc_discovery.serving.server import PortTaken, advertised_address, bind, new_server, refuse_taken_port
from infra.ports import free_port


def _settings(**values: Any) -> Settings:
    return Settings.from_environment("TEST_", {}, **values)


async def test_only_health_has_a_queue_of_its_own() -> None:
    """Generated code registers every method with gRPC, which then keeps a queue for each: dearer, and not the one that the probe waits in."""
    server, _ = new_server(_settings(), "greeter")
    registered: list[str] = []
    inner: Any = server
    inner._server = _Spy(inner._server, registered)
    add_GreeterServicer_to_server(GreeterServicer(), server)
    await ProcessHealth(["acme.greeter.v1.Greeter"]).add_to(server)
    assert registered
    assert {method.split("/")[1] for method in registered} == {"grpc.health.v1.Health"}


class _Spy:
    """gRPC's inner server, whose registered methods are seen."""

    def __init__(self, inner: Any, seen: list[str]) -> None:
        self._inner, self._seen = inner, seen

    def add_registered_method_handlers(self, handlers: Any) -> None:
        self._seen.extend(handlers)
        self._inner.add_registered_method_handlers(handlers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_health_is_answered_before_the_calls_that_wait() -> None:
    work_seconds, calls = 0.005, 200

    class Laborious(GreeterServicer):
        async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
            until = time.perf_counter() + work_seconds
            while time.perf_counter() < until:
                pass
            return HelloReply()

    server, _ = new_server(_settings(), "greeter")
    add_GreeterServicer_to_server(Laborious(), server)
    await ProcessHealth(["acme.greeter.v1.Greeter"]).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = GreeterStub(channel)
        checks: Any = health_pb2_grpc.HealthStub(channel)
        await checks.Check(health_pb2.HealthCheckRequest(), timeout=5)
        waiting = [asyncio.ensure_future(stub.SayHello(HelloRequest(), timeout=60)) for _ in range(calls)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await checks.Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert sum(call.done() for call in waiting) < calls / 2
        await asyncio.gather(*waiting)
    await server.stop(None)


@pytest.mark.parametrize(
    ("listens", "taken_on"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "::1"), ("localhost", "127.0.0.1")]
)
async def test_a_taken_port_is_refused_by_the_probe_and_by_the_bind(listens: str, taken_on: str) -> None:
    family = socket.AF_INET6 if ":" in taken_on else socket.AF_INET
    settings = _settings(listen_host=listens)
    with socket.create_server((taken_on, 0), family=family) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} on {listens} cannot be bound .*TEST_LISTEN_PORT"):
            refuse_taken_port(settings, port)
        server, _ = new_server(settings, "greeter")
        if listens == taken_on:  # of several addresses gRPC is content with one, which is why the probe tries them all
            with pytest.raises(PortTaken, match=f"port {port} on {listens} is taken"):
                bind(server, settings, port)


async def test_all_interfaces_are_those_of_ipv4_too() -> None:
    settings, port = _settings(listen_host="::"), free_port()
    refuse_taken_port(settings, port)
    server, _ = new_server(settings, "greeter")
    health = ProcessHealth(["acme.greeter.v1.Greeter"])
    await health.add_to(server)
    bind(server, settings, port)
    await server.start()
    for target in (f"127.0.0.1:{port}", f"[::1]:{port}"):
        async with aio.insecure_channel(target) as channel:
            checks: Any = health_pb2_grpc.HealthStub(channel)
            answer = await checks.Check(health_pb2.HealthCheckRequest(service="liveness"), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await server.stop(None)


async def test_the_whole_serves_when_all_services_do_and_a_check_tells_since_when() -> None:
    server, _ = new_server(_settings(), "greeter")
    health = ProcessHealth(["a.One", "a.Other"])
    await health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        checks: Any = health_pb2_grpc.HealthStub(channel)

        async def statuses() -> list[bool]:
            asked = [health_pb2.HealthCheckRequest(service=name) for name in ("", "a.One", "a.Other", "liveness")]
            serving = health_pb2.HealthCheckResponse.SERVING
            return [(await checks.Check(each, timeout=5)).status == serving for each in asked]

        assert await statuses() == [False, False, False, True]
        await health.set("a.One", True)
        assert await statuses() == [False, True, False, True]
        await health.set("a.Other", True)
        assert await statuses() == [True, True, True, True]
        await health.set_all(False)
        assert await statuses() == [False, False, False, True]
        call = checks.Check(health_pb2.HealthCheckRequest(service="a.One"), timeout=5)
        await call
        since = dict(await call.trailing_metadata())["serving-since"]
        assert since.endswith("+00:00")
    await server.stop(None)


@pytest.mark.parametrize(
    ("values", "address", "warns"),
    [
        ({}, "127.0.0.1:8101", False),
        ({"listen_host": "::1"}, "[::1]:8101", False),
        ({"listen_host": "10.0.0.7"}, "10.0.0.7:8101", False),
        ({"listen_host": "::", "service_host": "2001:db8::7", "service_port": 443}, "[2001:db8::7]:443", False),
        ({"listen_host": "0.0.0.0", "service_host": "127.0.1.1"}, "127.0.1.1:8101", True),
        ({"listen_host": "10.0.0.7", "service_host": "localhost"}, "localhost:8101", True),
        ({"listen_host": "0.0.0.0"}, "127.0.0.1:8101", True),
        ({"listen_host": "::"}, "127.0.0.1:8101", True),
    ],
)
def test_what_is_advertised_is_where_it_listens_unless_the_settings_say_otherwise(
    values: dict[str, Any], address: str, warns: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_server, "_in_container", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert str(advertised_address(_settings(**values), 8101)) == address
    assert ("TEST_SERVICE_HOST sets another" in caplog.text) is warns


def test_a_container_advertises_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_server, "_in_container", lambda: True)
    assert advertised_address(_settings(listen_host="0.0.0.0"), 8101).host == own_address()
