"""A queue of calls that got too long is shed, a burst is not, and afterwards all is as before."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from discovery.tests.waiting import eventually
from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Settings
from grpc_discovery.serving.admission import MAX_BURST_CALLS, AdmissionQueue
from grpc_discovery.serving.server import new_server
from grpc_discovery.tasks import cancel_and_wait, keep_running

WORK_SECONDS = 0.004


class Laborious(GreeterServicer):
    """Works for a while on each call, without a pause in which others could be taken."""

    async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
        """Nothing but the time it takes."""
        until = time.perf_counter() + WORK_SECONDS
        while time.perf_counter() < until:
            pass
        return HelloReply()


@pytest.fixture
async def greeting() -> AsyncIterator[Any]:
    """A call to a server whose queue is watched: its status."""
    server, interceptor = new_server(Settings(), "greeter", None)
    add_GreeterServicer_to_server(Laborious(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    with interceptor.queue.socket(server, only_probe=False) as address:
        assert address
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await server.start()
            watching = asyncio.create_task(interceptor.queue.watch(address))
            stub: Any = GreeterStub(channel)

            async def status() -> grpc.StatusCode:
                code: grpc.StatusCode = await stub.SayHello(HelloRequest(), timeout=60).code()
                return code

            yield status
            watching.cancel()
            await asyncio.wait([watching])
            await server.stop(None)


async def test_of_a_queue_that_is_too_long_some_calls_are_served_and_the_rest_shed(
    greeting: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outcomes = Counter(await asyncio.gather(*(greeting() for _ in range(6 * MAX_BURST_CALLS))))
    assert set(outcomes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert outcomes[grpc.StatusCode.OK] >= MAX_BURST_CALLS
    assert 1 <= caplog.text.count("more calls than this instance can work on") <= 3, "a line for many"

    async def is_served() -> bool:
        return await greeting() is grpc.StatusCode.OK

    await eventually(is_served, 5, "calls are served as before")


async def test_a_burst_is_worked_off_however_long_it_takes(greeting: Any) -> None:
    assert set(await asyncio.gather(*(greeting() for _ in range(MAX_BURST_CALLS)))) == {grpc.StatusCode.OK}


async def test_the_probes_socket_takes_no_calls_where_calls_need_tls() -> None:
    server, interceptor = new_server(Settings(), "greeter", None)
    add_GreeterServicer_to_server(Laborious(), server)
    with interceptor.queue.socket(server, only_probe=True) as address:
        assert address
        await server.start()
        async with aio.insecure_channel(address) as channel:
            call: Any = GreeterStub(channel).SayHello(HelloRequest(), timeout=5)
            assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
        await server.stop(None)


async def test_a_probe_that_fails_in_a_way_that_nobody_foresaw_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    class Channel:
        async def __aenter__(self) -> "Channel":
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        def unary_unary(self, *_: object) -> Any:
            async def probe(_: bytes) -> bytes:
                asked.append(len(asked))
                if len(asked) == 1:
                    raise RuntimeError("nobody foresaw this")
                return b""

            return probe

    monkeypatch.setattr("grpc_discovery.serving.admission.aio.insecure_channel", lambda *_, **__: Channel())
    queue = AdmissionQueue()
    watch = asyncio.create_task(keep_running("watch", lambda: queue.watch("unix:nowhere")))

    def is_asked_again() -> bool:
        queue.taken += 1  # somebody calls
        return len(asked) >= 3

    try:
        await eventually(is_asked_again, 10, "it is watched again")
        assert not queue.is_too_long
    finally:
        await cancel_and_wait([watch])
