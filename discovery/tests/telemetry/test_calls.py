"""What is counted and recorded of calls, on both sides, and what callers are told."""

import json
import logging
from contextvars import copy_context
from typing import Any

import grpc
import pytest
from grpc import aio

from discovery.tests.balancing.servers import GREETER, Instance
from discovery.tests.telemetry.observed import counted, running, statement, told_of
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub
from grpc_discovery import Discovery, MemoryRegistry, Settings
from grpc_discovery.cli.tracing import recording
from grpc_discovery.logs import JsonFormatter, TextFormatter
from grpc_discovery.telemetry.calls import CallerMethod, ServerCalls, Tracing, begin_server_call
from grpc_discovery.telemetry.spans import Span, TraceContext, current, enter, leave

ASK = (("grpc-discovery-trace", "1"),)
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{}"


@pytest.mark.parametrize(
    ("name", "timeout", "status"),
    [
        ("you", 5, "OK"),
        ("nobody", 5, "NOT_FOUND"),
        ("broken", 5, "INTERNAL"),
        ("slow", 0.3, "DEADLINE_EXCEEDED"),
    ],
)
async def test_each_call_is_counted_once_on_both_sides_under_its_status(name: str, timeout: float, status: str) -> None:
    async with running() as greeter, greeter.channel() as channel:
        before = counted("server", "SayHello", status), counted("client", "SayHello", status)
        call = GreeterStub(channel).SayHello(HelloRequest(name=name), timeout=timeout)
        assert (await call.code()).name == status

        def ones() -> bool:
            after = counted("server", "SayHello", status), counted("client", "SayHello", status)
            return after == (before[0] + 1, before[1] + 1)

        await eventually(ones, 5, "both sides have counted it")


async def test_a_caller_that_leaves_is_counted_as_cancelled() -> None:
    async with running() as greeter, greeter.channel() as channel:
        before = counted("server", "SayHello", "CANCELLED"), counted("client", "SayHello", "CANCELLED")
        call = GreeterStub(channel).SayHello(HelloRequest(name="slow"), timeout=20)
        await eventually(lambda: greeter.under_way == 1, 5, "the call is under way")
        call.cancel()

        def ones() -> bool:
            after = counted("server", "SayHello", "CANCELLED"), counted("client", "SayHello", "CANCELLED")
            return after == (before[0] + 1, before[1] + 1)

        await eventually(ones, 5, "both sides have counted it")


async def test_a_stream_is_counted_once_when_it_has_ended() -> None:
    async with running() as greeter, greeter.channel() as channel:
        before = counted("server", "SayHelloOften", "OK"), counted("client", "SayHelloOften", "OK")
        stub: Any = GreeterStub(channel)
        assert len([reply async for reply in stub.SayHelloOften(HelloRequest(times=3), timeout=5)]) == 3

        def ones() -> bool:
            after = counted("server", "SayHelloOften", "OK"), counted("client", "SayHelloOften", "OK")
            return after == (before[0] + 1, before[1] + 1)

        await eventually(ones, 5, "both sides have counted it")


async def test_who_asks_is_told_what_the_call_did() -> None:
    async with running() as greeter, aio.insecure_channel(greeter.address) as channel:
        call = GreeterStub(channel).SayHello(HelloRequest(name="busy", times=2), timeout=5, metadata=ASK)
        told = told_of(await call.trailing_metadata())
    assert (told["instance"], len(told["trace_id"])) == (greeter.address, 32)
    server, first, second = told["spans"]
    assert (server["name"], server["at_ms"]) == (f"{GREETER}/SayHello", 0)
    assert (first["name"], first["rows"], "error" in first) == ("SELECT things", 0, False)
    assert first["statement"] == statement(0)
    assert second["error"] == "Lost"
    assert 0 <= first["at_ms"] <= second["at_ms"] <= server["ms"]


async def test_a_failed_call_is_told_of_too_and_keeps_its_details() -> None:
    async with running() as greeter, aio.insecure_channel(greeter.address) as channel:
        call = GreeterStub(channel).SayHello(HelloRequest(name="nobody"), timeout=5, metadata=ASK)
        metadata = dict(await call.trailing_metadata())
    assert told_of(metadata)["spans"][0]["name"] == f"{GREETER}/SayHello"
    assert metadata["grpc-status-details-bin"]


async def test_what_is_told_fits_into_an_answers_metadata() -> None:
    async with running() as greeter, aio.insecure_channel(greeter.address) as channel:
        call = GreeterStub(channel).SayHello(HelloRequest(name="busy", times=500), timeout=5, metadata=ASK)
        metadata = await call.trailing_metadata()
    told = told_of(metadata)
    assert 5_000 < sum(len(key) + len(value) for key, value in metadata) <= 6_000
    assert told["left_out"] == 500 - (len(told["spans"]) - 1) > 0


@pytest.mark.parametrize(
    ("settings", "asks"),
    [({}, False), ({"trace_to_callers": False}, True), ({"listen_host": "0.0.0.0"}, True)],
)
async def test_nothing_is_told_without_being_asked_nor_beyond_this_machine(
    settings: dict[str, Any], asks: bool
) -> None:
    async with running(**settings) as greeter, aio.insecure_channel(greeter.address) as channel:
        metadata = ASK if asks else ()
        call = GreeterStub(channel).SayHello(HelloRequest(name="busy"), timeout=5, metadata=metadata)
        assert list(await call.trailing_metadata()) == []


async def test_beyond_this_machine_it_is_told_where_the_setting_says_so() -> None:
    async with running(listen_host="0.0.0.0", trace_to_callers=True) as greeter:
        async with aio.insecure_channel(greeter.address) as channel:
            call = GreeterStub(channel).SayHello(HelloRequest(), timeout=5, metadata=ASK)
            assert told_of(await call.trailing_metadata())["spans"]


async def test_the_reference_of_an_internal_error_is_the_trace_which_log_lines_carry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines: list[tuple[str, str]] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((TextFormatter().format(record), JsonFormatter().format(record)))

    handler = Lines()
    logging.getLogger("grpc_discovery").addHandler(handler)
    try:
        async with running() as greeter, aio.insecure_channel(greeter.address) as channel:
            metadata = (("traceparent", PARENT.format(0)),)
            call = GreeterStub(channel).SayHello(HelloRequest(name="broken"), timeout=5, metadata=metadata)
            details = await call.details()
    finally:
        logging.getLogger("grpc_discovery").removeHandler(handler)
    assert details
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in details
    [(text, line)] = [each for each in lines if "INTERNAL" in each[0]]
    assert " [trace 4bf92f35 span 00f067aa]" in text.splitlines()[0]
    told = json.loads(line)
    assert (told["trace_id"], told["span_id"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


@pytest.mark.parametrize("sampled", [True, False])
async def test_a_traced_caller_hands_its_trace_on_and_a_decision_is_kept(sampled: bool) -> None:
    async with callers_of(Instance()) as (instance, stub):
        token = enter(TraceContext(1, 2, sampled, "vendor=1"))
        await stub.SayHello(HelloRequest(), timeout=5)
        leave(token)
        assert instance.metadata["traceparent"] == f"00-{1:032x}-{2:016x}-0{int(sampled)}"
        assert instance.metadata["tracestate"] == "vendor=1"


async def test_a_caller_without_a_trace_and_a_collector_sends_nothing() -> None:
    async with callers_of(Instance()) as (instance, stub):
        await stub.SayHello(HelloRequest(), timeout=5)
        assert "traceparent" not in instance.metadata
        assert current() is None


async def test_a_recorded_call_has_its_instance_attempts_and_retries() -> None:
    failing, well = Instance(), Instance()
    failing.status = grpc.StatusCode.UNAVAILABLE
    async with callers_of(failing, well) as (_, stub):
        async with recording() as spans:
            while not failing.asked:
                await stub.SayHello(HelloRequest(), timeout=5)
        span = spans[-1]
        assert span.attributes["server.port"] == well.port
        assert span.attributes["grpc_discovery.attempts"] == 2
        assert [(name, attributes) for name, _, attributes in span.events] == [
            ("retry", {"server": failing.address, "why": "UNAVAILABLE"})
        ]
        assert well.metadata["traceparent"] == span.traceparent
        assert (span.error, span.attributes["rpc.response.status_code"]) == ("", "OK")


def test_who_decides_whether_a_call_is_sampled() -> None:
    ended: list[Span] = []

    class Sent:
        def __init__(self, *metadata: tuple[str, str]) -> None:
            self.metadata = metadata

        def invocation_metadata(self) -> Any:
            return self.metadata

    def begun(ratio: float, *metadata: tuple[str, str]) -> TraceContext:
        return copy_context().run(begin_server_call, Tracing(ratio, ended.append), "a.B/C", Sent(*metadata))

    for ratio in (0.0, 1.0):
        assert isinstance(begun(ratio, ("traceparent", PARENT.format(1))), Span), "the caller has decided"
        assert not isinstance(begun(ratio, ("traceparent", PARENT.format(0))), Span)
    first = begun(1.0)
    assert isinstance(first, Span)
    assert first.parent_id == 0
    assert not isinstance(begun(0.0), Span)
    shares = sum(isinstance(begun(0.2), Span) for _ in range(5000)) / 5000
    assert 0.15 < shares < 0.25
    unwanted = copy_context().run(begin_server_call, Tracing(1.0), "a.B/C", Sent())
    assert not isinstance(unwanted, Span), "nobody takes the spans"


def test_a_caller_with_a_collector_begins_traces() -> None:
    ended: list[Span] = []
    method = CallerMethod("/a.B/C", None, Tracing(1.0, ended.append))
    span = method.begin()
    assert isinstance(span, Span)
    assert span.parent_id == 0
    method.end(span, "NOT_FOUND", 0.1)
    assert ended == [span]
    assert span.error == "NOT_FOUND"
    unsampled = CallerMethod("/a.B/C", None, Tracing(0.0, ended.append)).begin()
    assert unsampled is not None
    assert not isinstance(unsampled, Span)


def test_off_nothing_stands_around_a_handler() -> None:
    from grpc_discovery.telemetry.switch import server_calls

    off = Settings.from_environment("TEST_", {}, metrics_port=0, trace_ratio=0, trace_to_callers=False)
    assert server_calls(off, "x", "x", "key") is None
    assert isinstance(server_calls(Settings(), "x", "x", "key"), ServerCalls)


class callers_of:  # noqa: N801  used like a function
    """A caller of instances that run in this process."""

    def __init__(self, *instances: Instance) -> None:
        self.instances = instances

    async def __aenter__(self) -> tuple[Instance, Any]:
        registry = MemoryRegistry()
        for instance in self.instances:
            await instance.start()
            await registry.advertise(GREETER, instance.address, instance.address, 60)
        self.discovery = Discovery(Settings(), registry=registry)
        await self.discovery.__aenter__()
        channel = self.discovery.channel(GREETER)
        await eventually(lambda: channel.pool.ready == len(self.instances), 10, "all are ready")
        return self.instances[0], GreeterStub(channel)

    async def __aexit__(self, *_: object) -> None:
        await self.discovery.__aexit__()
        for instance in self.instances:
            await instance.stop()
