"""Traces within one process: the context of the call that is worked on, and a span for each step of one that is recorded.

A context holds only ids, so that log lines and further calls can carry them; each call has one. Few are recorded: a span, which is a context too,
costs more. The wire format is W3C's Trace Context (traceparent, tracestate).
"""

import random
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import Any, Literal

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_MAX_TRACESTATE = 512
_EVENTS_PER_SPAN = 64

Attributes = Mapping[str, str | int | float | bool]


Kind = Literal["SERVER", "CLIENT"]


class TraceContext:
    """Where in which trace something stands."""

    __slots__ = ("is_new", "sampled", "span_id", "trace_id", "tracestate")

    def __init__(self, trace_id: int, span_id: int, sampled: bool, tracestate: str = "", is_new: bool = False) -> None:
        """`trace_id` of 128 bits, `span_id` of 64; `sampled`: whether those who take part shall record it; `is_new`: nobody has a span in it."""
        self.is_new = is_new
        self.trace_id, self.span_id, self.sampled, self.tracestate = trace_id, span_id, sampled, tracestate

    @property
    def traceparent(self) -> str:
        """As it travels."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"

    def as_metadata(self) -> tuple[tuple[str, str], ...]:
        """As it travels with a call."""
        state = (("tracestate", self.tracestate),) if self.tracestate else ()
        return (("traceparent", self.traceparent), *state)


class Span(TraceContext):
    """A step that is recorded. When it ends, it is given to each of its `sinks`; its children inherit them."""

    __slots__ = ("attributes", "end_ns", "error", "events", "kind", "name", "parent_id", "sinks", "start_ns")

    def __init__(
        self,
        name: str,
        kind: Kind,
        attributes: dict[str, Any],
        sinks: "tuple[Callable[[Span], None], ...]",
        parent: TraceContext,
    ) -> None:
        """Begin now, as a step within `parent`. Attributes may be added until the end."""
        super().__init__(parent.trace_id, random.getrandbits(64), parent.sampled, parent.tracestate)
        self.name, self.kind, self.attributes, self.sinks = name, kind, attributes, sinks
        self.parent_id = 0 if parent.is_new else parent.span_id
        self.events: list[tuple[str, int, Attributes]] = []
        self.error = ""
        self.end_ns = 0
        self.start_ns = time.time_ns()

    def child(self, name: str, kind: Kind, attributes: dict[str, Any]) -> "Span":
        """Begin a step within this one. It does not become the current one."""
        return Span(name, kind, attributes, self.sinks, self)

    def add_event(self, name: str, **attributes: str | int | float) -> None:
        """Note that something has happened now; the last of very many are left out."""
        if len(self.events) < _EVENTS_PER_SPAN:
            self.events.append((name, time.time_ns(), attributes))

    def end(self, error: str = "") -> None:
        """End now. `error` names the kind of failure: a status, or a class of errors. A second call does nothing."""
        if self.end_ns:
            return
        self.error, self.end_ns = error, time.time_ns()
        if error:
            self.attributes["error.type"] = error
        for sink in self.sinks:
            sink(self)

    @property
    def milliseconds(self) -> float:
        """How long it took, or has taken so far."""
        return ((self.end_ns or time.time_ns()) - self.start_ns) / 1e6


_current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def current() -> TraceContext | None:
    """The context in which the present task works, if there is one."""
    return _current.get()


def recorded() -> Span | None:
    """The span in which the present task works, if that is recorded."""
    context = _current.get()
    return context if isinstance(context, Span) else None


def enter(context: TraceContext) -> Token[TraceContext | None]:
    """Make `context` that of the present task and of those it begins. Where the task goes on afterwards, `leave` it by what is returned."""
    return _current.set(context)


def leave(token: Token[TraceContext | None]) -> None:
    """Return to the context before."""
    _current.reset(token)


def new_root(sampled: bool) -> TraceContext:
    """A context of a new trace."""
    return TraceContext(random.getrandbits(128) or 1, random.getrandbits(64) or 1, sampled, is_new=True)


def parse(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """The context that a caller sent; None for a text that is none, as the standard wants it."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if not found or (traceparent.startswith("00") and len(traceparent) != 55):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return TraceContext(trace_id, span_id, bool(flags & 1), tracestate[:_MAX_TRACESTATE])
