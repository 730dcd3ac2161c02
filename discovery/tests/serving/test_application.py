"""A process that serves: in which order it begins and ends, what follows its dependencies, and what stands between the wire and a handler."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from discovery.tests.balancing.servers import GREETER
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Application, InvalidArgument, MemoryRegistry, NotFound, Settings, shielded, time_left
from infra.ports import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"


class Greeter(GreeterServicer):
    """Does what the name of a request says."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.left: float | None = None

    async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
        """Greet, or fail."""
        match request.name:
            case "":
                raise InvalidArgument({"name": "must not be blank"})
            case "nobody":
                raise NotFound("There is nobody of this name.")
            case "abort":
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "by the handler itself")
            case "bug":
                raise RuntimeError("a secret of the inside")
            case "slow":
                await asyncio.sleep(0.5)
            case "shielded":
                await shielded(self._steps())
        self.left = time_left(1000.0)
        return HelloReply(text=f"Hello, {request.name}")

    async def _steps(self) -> None:
        for step in ("one", "two", "three"):
            await asyncio.sleep(0.1)
            time_left(1.0)  # raises once the deadline is over, where there is one
            self.finished.append(step)

    async def SayHelloOften(self, request: HelloRequest, context: Any) -> AsyncIterator[HelloReply]:
        """A stream that may fail in the middle."""
        for number in range(request.times):
            yield HelloReply(text=str(number))
        if request.name == "nobody":
            raise NotFound("There is nobody of this name.")

    async def Chat(self, requests: AsyncIterator[HelloRequest], context: Any) -> None:  # type: ignore[override]
        """Answers by writing."""
        async for request in requests:
            await context.write(HelloReply(text=request.name))


class Database:
    """A dependency that is there, or not."""

    name = "the database"

    def __init__(self) -> None:
        self.is_there = True
        self.fault: Exception | None = None

    async def ready(self) -> None:
        """It is at once."""

    async def alive(self) -> bool:
        """As the test says."""
        if self.fault:
            raise self.fault
        return self.is_there


class Running:
    """An application that serves in this process."""

    def __init__(self, **values: Any) -> None:
        self.port, self.registry, self.database, self.greeter = free_port(), MemoryRegistry(), Database(), Greeter()
        settings = Settings.from_environment("TEST_", {}, listen_port=self.port, withdraw_wait=0, **values)
        self.application = Application("greeter", settings, registry=self.registry)
        self.application.add(self.greeter, add_GreeterServicer_to_server, GREETER, waits_for=[self.database])
        self.address = f"127.0.0.1:{self.port}"
        self.channel = aio.insecure_channel(self.address)
        self.stub: Any = GreeterStub(self.channel)

    @property
    def advertised(self) -> bool:
        """Whether the registry holds its entry."""
        return self.registry.entries == {GREETER: {self.address: self.address}}

    async def health(self, name: str = GREETER) -> int:
        """What it says of itself."""
        answer = await health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest(service=name))
        return int(answer.status)


async def test_background_work_gets_the_servicer_is_begun_again_and_ends_before_the_calls_do() -> None:
    begun: list[Any] = []
    cancelled = asyncio.Event()

    async def work(servicer: Any) -> None:
        begun.append(servicer)
        if len(begun) == 1:
            raise RuntimeError("the first one fails")
        try:
            await asyncio.Event().wait()
        finally:
            assert registry.entries  # not withdrawn yet
            cancelled.set()

    registry, greeter = MemoryRegistry(), Greeter()
    settings = Settings.from_environment("TEST_", {}, listen_port=free_port(), withdraw_wait=0)
    application = Application("greeter", settings, registry=registry)
    application.add(greeter, add_GreeterServicer_to_server, GREETER, background=work)
    stop = asyncio.Event()
    life = asyncio.create_task(application.serve(stop))
    await eventually(lambda: len(begun) == 2, 10, "the work is begun again")
    assert begun == [greeter, greeter]
    stop.set()
    await life
    assert cancelled.is_set()


@asynccontextmanager
async def running(**values: Any) -> AsyncIterator[Running]:
    served, stop = Running(**values), asyncio.Event()
    life = asyncio.create_task(served.application.serve(stop))
    try:
        await eventually(lambda: served.advertised, 10, "it is advertised")
        yield served
    finally:
        await served.channel.close(None)
        stop.set()
        await life
    assert served.registry.entries == {}


async def test_errors_travel_with_their_status_and_details() -> None:
    async with running() as served:
        assert (await served.stub.SayHello(HelloRequest(name="you"), timeout=5)).text == "Hello, you"
        for name, code, text in (
            ("", grpc.StatusCode.INVALID_ARGUMENT, "name must not be blank"),
            ("nobody", grpc.StatusCode.NOT_FOUND, "There is nobody of this name."),
            ("abort", grpc.StatusCode.FAILED_PRECONDITION, "by the handler itself"),
        ):
            with pytest.raises(aio.AioRpcError) as refusal:
                await served.stub.SayHello(HelloRequest(name=name), timeout=5)
            assert (refusal.value.code(), refusal.value.details()) == (code, text)
        with pytest.raises(aio.AioRpcError) as refusal:
            await served.stub.SayHello(HelloRequest(name="bug"), timeout=5)
        assert refusal.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(refusal.value.details())
        with pytest.raises(aio.AioRpcError) as refusal:
            await served.stub.SayHello(HelloRequest(name="nobody"), timeout=5)
        status = rpc_status.from_call(refusal.value)  # type: ignore[arg-type]
        info = error_details_pb2.ErrorInfo()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert (info.reason, info.domain) == ("NOT_FOUND", "greeter")


async def test_streams_pass_as_calls_with_one_answer_do() -> None:
    async with running() as served:
        replies = [reply.text async for reply in served.stub.SayHelloOften(HelloRequest(name="you", times=3))]
        assert replies == ["0", "1", "2"]
        call = served.stub.SayHelloOften(HelloRequest(name="nobody", times=1))
        assert (await call.read()).text == "0"
        with pytest.raises(aio.AioRpcError) as refusal:
            await call.read()
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
        chat = served.stub.Chat(iter([HelloRequest(name="a"), HelloRequest(name="b")]))
        assert [reply.text async for reply in chat] == ["a", "b"]


async def test_a_request_that_is_none_is_an_invalid_argument() -> None:
    async with running() as served:
        for path in ("SayHello", "SayHelloOften"):
            kind = served.channel.unary_unary if path == "SayHello" else served.channel.unary_stream
            call: Any = kind(f"/{GREETER}/{path}", lambda sent: sent, lambda got: got)(b"\xff\xff")
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_handler_sees_the_callers_deadline_and_shielded_work_does_not() -> None:
    async with running() as served:
        await served.stub.SayHello(HelloRequest(name="you"), timeout=5)
        assert served.greeter.left is not None
        assert 4 < served.greeter.left <= 5
        with pytest.raises(aio.AioRpcError):
            await served.stub.SayHello(HelloRequest(name="shielded"), timeout=0.15)
        await eventually(lambda: served.greeter.finished == ["one", "two", "three"], 5, "the work runs to its end")


async def test_more_calls_than_are_allowed_are_refused_and_health_is_not() -> None:
    async with running(max_calls=2) as served:
        calls = [served.stub.SayHello(HelloRequest(name="slow"), timeout=5) for _ in range(6)]
        codes = [await call.code() for call in calls]
        assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 4
        assert codes.count(grpc.StatusCode.OK) == 2
        assert await served.health() == health_pb2.HealthCheckResponse.SERVING


async def test_health_and_entry_follow_what_the_service_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as served:
        served.database.is_there = False
        await eventually(lambda: not served.advertised, 10, "the entry is gone")
        assert await served.health() == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await served.health("liveness") == health_pb2.HealthCheckResponse.SERVING
        served.database.is_there = True
        await eventually(lambda: served.advertised, 10, "the entry is back")
        with caplog.at_level(logging.WARNING):
            served.database.fault = RuntimeError("a fault that nobody foresaw")
            await eventually(lambda: not served.advertised, 10, "the entry is gone")
            assert "a fault that nobody foresaw" in caplog.text
        served.database.fault = None
        await eventually(lambda: served.advertised, 10, "the follower was not ended by the fault")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_is_offered_under_both_names(version: str) -> None:
    from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

    async with running() as served:
        ask: Any = served.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        [answer] = [each async for each in ask(iter([ServerReflectionRequest(list_services="*")]), timeout=5)]
        assert GREETER in {service.name for service in answer.list_services_response.service}


def test_a_handler_that_is_a_plain_function_is_refused_when_it_is_added() -> None:
    class Plain(GreeterServicer):
        def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
            return HelloReply()

    with pytest.raises(TypeError, match="async def"):
        Application("greeter", Settings()).add(Plain(), add_GreeterServicer_to_server, GREETER)


@pytest.mark.processes
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_a_process_says_what_it_does_and_ends_in_order(host: str) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(EXAMPLES),
        "PYTHONUNBUFFERED": "1",
        "GREETER_LISTEN_HOST": host,
        "GREETER_LISTEN_PORT": str(port),
        "GREETER_DISCOVERY": "static",
    }
    command = [sys.executable, str(EXAMPLES / "greeter_server.py")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if "advertised as" in line:
                taken = subprocess.run(
                    command, env=environment, capture_output=True, text=True, timeout=20, check=False
                )
                assert (taken.returncode, f"port {port}" in taken.stdout) == (1, True)
                process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    log = "".join(lines)
    order = [
        "serving",
        "advertised as",
        "stopping",
        "health is NOT_SERVING",
        "withdrawn",
        "finishing",
        "server stopped",
        "stopped",
    ]
    places = [log.index(words) for words in order]
    assert places == sorted(places), log


@pytest.mark.processes
def test_a_wrong_setting_ends_the_process_with_a_sentence() -> None:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "GREETER_LISTEN_PORT": "many"}
    command = [sys.executable, str(EXAMPLES / "greeter_server.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert done.stderr == "wrong setting GREETER_LISTEN_PORT='many': is not a whole number\n"
