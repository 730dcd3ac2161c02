"""What stands between the wire and handlers of each kind, however they are written."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest
from grpc import aio

from discovery.tests.waiting import eventually
from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Settings, Unavailable
from grpc_discovery.serving.admission import AdmissionQueue
from grpc_discovery.serving.handlers import Interceptor
from grpc_discovery.serving.server import new_server
from grpc_discovery.tasks import cancel_and_wait, keep_running

PATH = "/acme.greeter.v1.Greeter"


class Greeter(GreeterServicer):
    """Reads and writes in each way that gRPC has; it leaves out SignGuestbook."""

    def __init__(self) -> None:
        self.closed = False

    async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
        if request.name == "number":
            await context.abort(grpc.StatusCode.DATA_LOSS, "lost", (("key", "value"),))
        context.set_trailing_metadata((("key", "value"),))
        if request.name == "away":
            raise Unavailable("The database is away.")
        await asyncio.sleep(0.05)
        return HelloReply()

    async def SayHelloOften(self, request: HelloRequest, context: Any) -> AsyncIterator[HelloReply]:
        try:
            while True:
                yield HelloReply()
                await asyncio.sleep(0.01)
        finally:
            self.closed = True

    async def GreetTogether(self, requests: AsyncIterator[HelloRequest], context: Any) -> HelloReply:
        return HelloReply(text=", ".join([request.name async for request in requests]))

    async def Chat(self, requests: AsyncIterator[HelloRequest], context: Any) -> None:  # type: ignore[override]
        while (request := await context.read()) is not aio.EOF:  # type: ignore[attr-defined]  # left out of the stubs
            await context.write(HelloReply(text=request.name))


class Served:
    """A server with its interceptor, and a channel to it."""

    def __init__(self, interceptor: Interceptor, greeter: Greeter, channel: aio.Channel) -> None:
        self.interceptor, self.greeter, self.channel = interceptor, greeter, channel
        self.stub: Any = GreeterStub(channel)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    server, interceptor = new_server(
        Settings.from_environment("TEST_", {}, slow_call=0.01, max_request=1000), "greeter"
    )
    greeter = Greeter()
    add_GreeterServicer_to_server(greeter, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(interceptor, greeter, channel)
    await server.stop(None)


async def test_streams_may_be_read_and_written_in_each_way(served: Served) -> None:
    people = [HelloRequest(name="a"), HelloRequest(name="b")]
    assert (await served.stub.GreetTogether(iter(people), timeout=5)).text == "a, b"
    assert [reply.text async for reply in served.stub.Chat(iter(people), timeout=5)] == ["a", "b"]


@pytest.mark.parametrize("call", ["GreetTogether", "Chat"])
async def test_a_message_of_a_stream_that_is_none_is_an_invalid_argument(served: Served, call: str) -> None:
    kind: Any = served.channel.stream_unary if call == "GreetTogether" else served.channel.stream_stream
    made = kind(f"{PATH}/{call}")(iter([HelloRequest(name="a").SerializeToString(), b"\xff\xff"]), timeout=5)
    if call == "Chat":
        assert await made.read(), "what came before is answered"
    assert await made.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_that_is_larger_than_the_setting_is_not_read(served: Served) -> None:
    call = served.stub.SayHello(HelloRequest(name="a" * 997), timeout=5)
    assert await call.code() is grpc.StatusCode.OK, "1,000 bytes with what goes before the text"
    call = served.stub.SayHello(HelloRequest(name="a" * 998), timeout=5)
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await call.details() == "request has 1,001 bytes; at most 1,000 are taken"
    chat = served.stub.GreetTogether(iter([HelloRequest(name="a"), HelloRequest(name="a" * 998)]), timeout=5)
    assert await chat.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_call_that_the_servicer_does_not_have_is_unimplemented(served: Served) -> None:
    assert await served.stub.SignGuestbook(HelloRequest(), timeout=5).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_what_a_handler_sends_with_its_status_arrives(served: Served) -> None:
    for name, code in (("number", grpc.StatusCode.DATA_LOSS), ("away", grpc.StatusCode.UNAVAILABLE)):
        call = served.stub.SayHello(HelloRequest(name=name), timeout=5)
        assert await call.code() is code
        assert dict(await call.trailing_metadata())["key"] == "value"


async def test_calls_that_fail_or_are_slow_have_one_line_each_and_streams_are_never_slow(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "grpc_discovery"):
        for name in ("number", "away", ""):
            await served.stub.SayHello(HelloRequest(name=name), timeout=5).code()
        chat = served.stub.Chat(timeout=5)
        await chat.write(HelloRequest())
        await chat.read()
        await asyncio.wait_for(_after_a_moment(served), 5)
        await chat.done_writing()
        assert await chat.code() is grpc.StatusCode.OK
    lines = [record.getMessage() for record in caplog.records if PATH in record.getMessage()]
    assert [line.split(" ms")[-1] for line in lines[:2]] == [
        ": DATA_LOSS: lost",
        ": UNAVAILABLE: The database is away.",
    ]
    assert [line for line in lines[2:] if "SayHello was slow" not in line] == []
    assert len(lines) == 4


async def _after_a_moment(served: Served) -> None:
    """Return when a slow call has passed."""
    await served.stub.SayHello(HelloRequest(), timeout=5)


async def test_a_stream_is_one_call_until_it_ends_or_its_caller_leaves(served: Served) -> None:
    stream = served.stub.SayHelloOften(HelloRequest())
    for _ in range(5):
        await stream.read()
    assert (served.interceptor.under_way, served.interceptor.queue.taken) == (1, 1)
    stream.cancel()
    await eventually(lambda: served.interceptor.under_way == 0 and served.greeter.closed, 5, "the handler has ended")


async def test_a_watcher_of_the_queue_that_fails_is_begun_again_and_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, begun = AdmissionQueue(), []

    def channel(address: str, **options: Any) -> Any:
        begun.append(address)
        raise RuntimeError("no channel today")

    monkeypatch.setattr(aio, "insecure_channel", channel)
    watching = asyncio.create_task(keep_running("watch the queue", lambda: queue.watch("unix:/nowhere")))
    await eventually(lambda: len(begun) == 2, 5, "it is begun again")
    await cancel_and_wait([watching])
    assert "watch the queue failed and is begun again" in caplog.text


async def test_a_probe_that_does_not_come_through_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    queue = AdmissionQueue()
    watching = asyncio.create_task(queue.watch("unix:/nowhere"))
    with caplog.at_level(logging.WARNING):

        async def calls_come() -> bool:
            queue.taken += 1000
            return len(asked) >= 4

        asked: list[int] = []
        await_answer = queue._await_answer

        async def counted(answer: Awaitable[bytes]) -> None:
            await await_answer(answer)
            asked.append(1)

        queue._await_answer = counted  # type: ignore[method-assign]
        await eventually(calls_come, 10, "the probe has failed several times")
    await cancel_and_wait([watching])
    assert caplog.text.count("overload is not noticed now: the probe failed: UNAVAILABLE") == 1
    assert not queue.is_too_long, "what is not known sheds no calls"
