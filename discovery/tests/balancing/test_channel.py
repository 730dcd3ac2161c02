"""One suite on a channel of gRPC's own and on a balanced one: a stub cannot tell them apart."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from discovery.tests.balancing.callers import HELLO, calling
from discovery.tests.balancing.servers import GREETER, Instance
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub


@pytest.fixture
async def instance() -> AsyncIterator[Instance]:
    served = Instance()
    await served.start()
    yield served
    await served.stop()


class CountingInterceptor(
    aio.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]
    aio.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    aio.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
    aio.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    """Counts attempts, and adds metadata to each."""

    def __init__(self) -> None:
        self.attempts: list[bytes | str] = []

    async def _pass(self, continuation: Any, details: Any, request: Any) -> Any:
        self.attempts.append(details.method)
        metadata = aio.Metadata(*(details.metadata or ()), ("intercepted", "yes"))
        return await continuation(details._replace(metadata=metadata), request)

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._pass(continuation, client_call_details, request)

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._pass(continuation, client_call_details, request)

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._pass(continuation, client_call_details, request_iterator)

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._pass(continuation, client_call_details, request_iterator)


@pytest.fixture(params=["plain", "balanced", "plain intercepted", "balanced intercepted"])
async def channel(request: pytest.FixtureRequest, instance: Instance) -> AsyncIterator[aio.Channel]:
    """A channel to the instance, as the stub gets it."""
    interceptors = [CountingInterceptor()] if "intercepted" in request.param else []
    if request.param.startswith("plain"):
        async with aio.insecure_channel(instance.address, interceptors=interceptors) as opened:  # type: ignore[arg-type]  # the stubs want casts
            yield opened
    else:
        async with calling(instance.address, interceptors=interceptors) as caller:
            yield caller.channel


@pytest.fixture
def stub(channel: aio.Channel) -> Any:
    return GreeterStub(channel)


async def requests(*names: str) -> AsyncIterator[HelloRequest]:
    for name in names:
        yield HelloRequest(name=name)


async def test_a_response_is_awaited_and_the_call_tells_how_it_went(stub: Any, instance: Instance) -> None:
    call = stub.SayHello(HELLO, timeout=5)
    assert isinstance(call, aio.UnaryUnaryCall)
    assert dict(await call.initial_metadata())["begun-by"] == instance.address
    assert (await call).text == "Hello, you"
    assert await call.code() is grpc.StatusCode.OK
    assert await call.details() in ("", None)
    assert dict(await call.trailing_metadata())["served-by"] == instance.address
    assert call.done()
    assert not call.cancelled()
    assert not call.cancel()
    assert (await call).text == "Hello, you", "it can be awaited again"


async def test_a_streams_initial_metadata_comes_before_its_first_response(stub: Any, instance: Instance) -> None:
    instance.takes = 1.0
    call = stub.SayHelloOften(HelloRequest(name="you", times=1), timeout=5)
    sent: Any = await asyncio.wait_for(call.initial_metadata(), 0.8)
    assert dict(sent)["begun-by"] == instance.address
    assert not call.done()
    assert (await call.read()).text.startswith("Hello")


async def test_the_time_left_is_told(instance: Instance) -> None:
    async with aio.insecure_channel(instance.address) as plain, calling(instance.address) as caller:
        stubs: list[Any] = [GreeterStub(plain), caller.stub]
        for stub in stubs:  # intercepted calls of gRPC's own do not tell it
            call = stub.SayHello(HELLO, timeout=5)
            assert 0 < (call.time_remaining() or 0) <= 5
            await call


async def test_a_call_begins_without_being_awaited(stub: Any, instance: Instance) -> None:
    stub.SignGuestbook(HELLO, timeout=5)
    await eventually(lambda: instance.signed == ["you"], 5, "the call was made")


async def test_a_failed_call_raises_and_tells_its_status(stub: Any, instance: Instance) -> None:
    instance.status = grpc.StatusCode.NOT_FOUND
    call = stub.SayHello(HELLO, timeout=5)
    with pytest.raises(aio.AioRpcError) as refusal:
        await call
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert refusal.value.details() == "as the test wants it"
    sent: Any = refusal.value.trailing_metadata()
    assert dict(sent)["served-by"] == instance.address
    assert await call.code() is grpc.StatusCode.NOT_FOUND
    assert await call.details() == "as the test wants it"
    assert dict(await call.trailing_metadata())["served-by"] == instance.address
    assert call.done()


async def test_the_status_can_be_asked_for_without_awaiting(stub: Any, instance: Instance) -> None:
    instance.status = grpc.StatusCode.NOT_FOUND
    assert await stub.SayHello(HELLO, timeout=5).code() is grpc.StatusCode.NOT_FOUND


async def test_a_deadline_that_passes_is_told(stub: Any, instance: Instance) -> None:
    instance.takes = 5
    with pytest.raises(aio.AioRpcError) as refusal:
        await stub.SayHello(HELLO, timeout=0.3)
    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "under way"])
async def test_a_call_can_be_cancelled(stub: Any, instance: Instance, begun: bool) -> None:
    instance.takes = 5
    call = stub.SayHello(HELLO, timeout=5)
    if begun:
        await eventually(lambda: instance.asked == 1, 5, "it is under way")
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.cancelled()
    assert call.done()
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert await call.details() == "Locally cancelled by application!"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_done_callback_gets_the_call_when_it_is_over(stub: Any, instance: Instance, fails: bool) -> None:
    instance.status = grpc.StatusCode.NOT_FOUND if fails else None
    told: list[Any] = []
    call = stub.SayHello(HELLO, timeout=5)
    call.add_done_callback(told.append)
    assert not told
    await call.code()
    await eventually(lambda: len(told) == 1, 5, "the callback")
    assert told[0].done()


async def test_metadata_and_options_are_handed_on(stub: Any, instance: Instance) -> None:
    metadata = aio.Metadata(("asked-by", "a test"), ("bytes-bin", b"\x01"))
    await stub.SayHello(HELLO, timeout=5, metadata=metadata, wait_for_ready=True, compression=grpc.Compression.Gzip)
    assert instance.metadata["asked-by"] == "a test"
    assert instance.metadata["bytes-bin"] == b"\x01"
    await stub.SayHello(HELLO, timeout=5, metadata=(("asked-by", "a tuple"),))
    assert instance.metadata["asked-by"] == "a tuple"


async def test_a_stream_of_responses_is_iterated(stub: Any) -> None:
    call = stub.SayHelloOften(HelloRequest(name="you", times=3), timeout=5)
    assert isinstance(call, aio.UnaryStreamCall)
    assert len([reply async for reply in call]) == 3
    assert await call.code() is grpc.StatusCode.OK
    assert call.done()


async def test_a_stream_of_responses_is_read(stub: Any) -> None:
    call = stub.SayHelloOften(HelloRequest(name="you", times=1), timeout=5)
    assert (await call.read()).text.startswith("Hello")
    assert await call.read() is aio.EOF  # type: ignore[attr-defined]
    assert await call.read() is aio.EOF  # type: ignore[attr-defined]


async def test_an_empty_stream_of_responses_ends(stub: Any) -> None:
    assert [reply async for reply in stub.SayHelloOften(HelloRequest(name="you"), timeout=5)] == []


async def test_a_stream_of_responses_that_fails_raises(stub: Any, instance: Instance) -> None:
    with pytest.raises(aio.AioRpcError, match="in the middle"):
        async for _ in stub.SayHelloOften(HelloRequest(name="break", times=2), timeout=5):
            pass
    instance.status = grpc.StatusCode.NOT_FOUND
    call = stub.SayHelloOften(HelloRequest(name="you", times=2), timeout=5)
    with pytest.raises(aio.AioRpcError):
        await call.read()
    assert await call.code() is grpc.StatusCode.NOT_FOUND


async def test_a_stream_of_responses_can_be_cancelled_in_the_middle(stub: Any) -> None:
    call = stub.SayHelloOften(HelloRequest(name="you", times=100_000), timeout=30)
    await call.read()
    assert call.cancel()
    assert call.cancelled()
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_requests_come_from_an_iterator(stub: Any) -> None:
    call = stub.GreetTogether(requests("you", "me"), timeout=5)
    assert isinstance(call, aio.StreamUnaryCall)
    assert (await call).text == "Hello, you and me"
    assert (await stub.GreetTogether(iter([HELLO]), timeout=5)).text == "Hello, you"
    assert await call.code() is grpc.StatusCode.OK


async def test_requests_are_written(stub: Any) -> None:
    call = stub.GreetTogether(timeout=5)
    await call.write(HELLO)
    await call.done_writing()
    assert (await call).text == "Hello, you"


async def test_a_stream_of_requests_that_fails_raises(stub: Any, instance: Instance) -> None:
    instance.status = grpc.StatusCode.NOT_FOUND
    with pytest.raises(aio.AioRpcError) as refusal:
        await stub.GreetTogether(requests("you"), timeout=5)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_both_sides_stream(stub: Any) -> None:
    call = stub.Chat(requests("you", "me"), timeout=5)
    assert isinstance(call, aio.StreamStreamCall)
    assert [reply.text async for reply in call] == ["Hello, you", "Hello, me"]
    call = stub.Chat(timeout=5)
    for name in ("a", "b"):
        await call.write(HelloRequest(name=name))
        assert (await call.read()).text == f"Hello, {name}"
    await call.done_writing()
    assert await call.read() is aio.EOF  # type: ignore[attr-defined]
    assert await call.code() is grpc.StatusCode.OK


async def test_a_conversation_can_be_cancelled(stub: Any) -> None:
    call = stub.Chat(timeout=5)
    await call.write(HELLO)
    await call.read()
    assert call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_a_channel_tells_when_it_is_ready(channel: aio.Channel) -> None:
    await asyncio.wait_for(channel.channel_ready(), 5)
    assert channel.get_state() is grpc.ChannelConnectivity.READY


async def test_interceptors_run_once_an_attempt(instance: Instance) -> None:
    other, counting = Instance(), CountingInterceptor()
    await other.start()
    other.status = grpc.StatusCode.UNAVAILABLE
    async with calling(instance.address, other.address, interceptors=[counting]) as caller:
        await caller.until_ready(2)
        for _ in range(10):
            await caller.hello()
        assert len(counting.attempts) == instance.asked + other.asked > 10
        assert instance.metadata["intercepted"] == "yes"
    await other.stop()


async def test_a_closed_channel_says_so(instance: Instance) -> None:
    async with calling(instance.address) as caller:
        await caller.hello()
        await caller.channel.close()
        with pytest.raises(aio.UsageError):
            await caller.hello()
        assert caller.discovery.channel(GREETER) is not caller.channel, "a new one can be had"
        await GreeterStub(caller.discovery.channel(GREETER)).SayHello(HELLO, timeout=5)
