"""Both sides of every call, measured and traced: what stands around a server's handlers, and what a caller's channel tells of its calls."""

import random
from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Any, NamedTuple

import grpc

from grpc_discovery.serving.told import ToldSpan
from grpc_discovery.telemetry.spans import Span, TraceContext, current, enter, new_root, parse

TRACE_KEY = "grpc-discovery-trace"
"""The metadata with which callers ask what their call did (`grpc-discovery-trace: 1`), where an application names no other."""
# Statuses that say that a server did not do its part; others, such as NOT_FOUND, are answers.
SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
_STATUS = {status.value[0]: status.name for status in grpc.StatusCode}


class Tracing(NamedTuple):
    """Which calls are recorded, and who gets the spans."""

    ratio: float
    """Share of the calls without a caller's decision that are sampled."""
    export: Callable[[Span], None] | None = None
    """Takes the spans of sampled calls; None: nobody wants them."""
    told_key: str = ""
    """The metadata by which callers ask to be told what their call did; '' where they are not."""
    instance: str = ""
    """The name by which this instance tells of itself."""

    def root(self) -> TraceContext:
        """A new trace, sampled or not."""
        return new_root(self.export is not None and random.random() < self.ratio)


class ServerCalls:
    """What stands around a server's handlers."""

    def __init__(self, times: Callable[[str], Any] | None, tracing: Tracing | None) -> None:
        """`times` gives what keeps the durations of a method's calls; None for what is not wanted."""
        self._times, self._tracing = times, tracing

    def around(self, path: str, handle: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """The handler of `/package.Service/Method`, measured and traced."""
        method, tracing = path.removeprefix("/"), self._tracing
        observe = self._times(method).observe if self._times else None

        async def call(sent: Any, context: Any) -> Any:
            began = perf_counter()
            trace = begin_server_call(tracing, method, context) if tracing else None
            status = "OK"
            try:
                answer = await handle(sent, context)
                if code := context.code():
                    status = _status_of(code)
                if isinstance(trace, ToldSpan):
                    context.set_trailing_metadata(trace.metadata(context.trailing_metadata()))
                return answer
            except BaseException:
                status = _status_of_failed(context)
                raise
            finally:
                if observe:
                    observe(status, perf_counter() - began)
                if isinstance(trace, Span):
                    _end(trace, status)

        return call


def begin_server_call(tracing: Tracing, method: str, context: Any) -> TraceContext:
    """Enter the trace in which a call is made, and record the call where its caller, or the ratio, says so."""
    sent = dict.fromkeys(("traceparent", "tracestate", tracing.told_key), "")
    for key, value in context.invocation_metadata() or ():
        if key in sent:
            sent[key] = value
    trace = parse(sent["traceparent"], sent["tracestate"]) or tracing.root()
    sinks: tuple[Any, ...] = (tracing.export,) if trace.sampled and tracing.export else ()
    told = tracing.told_key and sent[tracing.told_key] == "1"
    if told or sinks:
        attributes = {"rpc.system.name": "grpc", "rpc.method": method}
        if told:
            trace = ToldSpan(method, attributes, sinks, trace, key=tracing.told_key, instance=tracing.instance)
        else:
            trace = Span(method, "SERVER", attributes, sinks, trace)
    enter(trace)
    return trace


class CallerMethod:
    """What a channel tells of the calls of one method."""

    def __init__(self, path: str, times: Callable[[str], Any] | None, tracing: Tracing) -> None:
        self._method, self._tracing = path.removeprefix("/"), tracing
        self._observe = times(self._method).observe if times else None

    def begin(self) -> TraceContext | None:
        """The trace that a call is made in; None where there is none and nobody would want one."""
        export = self._tracing.export
        trace = current() or (self._tracing.root() if export else None)
        if isinstance(trace, Span):
            sinks = trace.sinks
        elif trace and trace.sampled and export:
            sinks = (export,)
        else:
            return trace
        return Span(self._method, "CLIENT", {"rpc.system.name": "grpc", "rpc.method": self._method}, sinks, trace)

    def end(self, trace: TraceContext | None, status: str, seconds: float) -> None:
        """A call has ended."""
        if self._observe:
            self._observe(status, seconds)
        if isinstance(trace, Span):
            _end(trace, status)


def _end(span: Span, status: str) -> None:
    span.attributes["rpc.response.status_code"] = status
    is_error = status in SERVER_ERRORS if span.kind == "SERVER" else status != "OK"
    span.end(status if is_error else "")


def _status_of(code: Any) -> str:
    return code.name if isinstance(code, grpc.StatusCode) else _STATUS.get(code, "UNKNOWN")


def _status_of_failed(context: Any) -> str:
    """The status of a call that did not return: what it was ended with, or else that the caller's time is up, or that he is gone."""
    if code := context.code():
        return _status_of(code)
    left = context.time_remaining()
    return "DEADLINE_EXCEEDED" if (inf if left is None else left) <= 0 else "CANCELLED"
