"""What a caller who asks is told of his call, in the trailing metadata of its answer: each step, with its statement, rows and milliseconds.

    call with the metadata   grpc-discovery-trace: 1
    answer's trailing        grpc-discovery-trace: {"trace_id": ..., "instance": ..., "spans": [{"name": ..., "at_ms": ..., "ms": ..., ...}]}

The first span is the call itself. Steps that do not fit are left out, from the end, and counted in `left_out`. An application may have another key.
"""

import json
from typing import Any

from grpc_discovery.telemetry.spans import Span, TraceContext, recorded

MAX_TOLD_BYTES = 6_000
"""Of trailing metadata, with what the answer has there already: clients refuse more than 8 KiB."""

# Attributes of a span that callers are told, and by which short names.
_TOLD = {"db.query.text": "statement", "db.response.returned_rows": "rows", "db.operation.batch.size": "batch"}


class ToldSpan(Span):
    """A server's span of which the caller is told, with those that have ended within it."""

    __slots__ = ("_inner", "_instance", "_key")

    def __init__(
        self, method: str, attributes: dict[str, Any], sinks: Any, parent: TraceContext, *, key: str, instance: str
    ) -> None:
        """`key` is the metadata under which it is told, `instance` the name of the one who tells."""
        self._inner: list[Span] = []
        self._key, self._instance = key, instance
        super().__init__(method, "SERVER", attributes, (*sinks, self._inner.append), parent)

    def metadata(self, others: Any) -> tuple[Any, ...]:
        """The answer's trailing metadata, `others`, and what this call has done so far, as JSON that fits beside them."""
        others, key = tuple(others or ()), self._key
        head: dict[str, Any] = {
            "trace_id": f"{self.trace_id:032x}",
            "instance": self._instance,
            "spans": [self._told(self)],
        }
        left = MAX_TOLD_BYTES - len(key) - len(json.dumps(head)) - len(', "left_out": 10000')
        left -= sum(len(name) + len(value) for name, value in others)
        told = []
        for span in self._inner:
            told.append(self._told(span))
            left -= len(json.dumps(told[-1])) + 2
            if left < 0:
                told.pop()
                head["left_out"] = len(self._inner) - len(told)
                break
        head["spans"] += told
        return (*others, (key, json.dumps(head)))

    def _told(self, span: Span) -> dict[str, Any]:
        told: dict[str, Any] = {"name": span.name, "at_ms": round((span.start_ns - self.start_ns) / 1e6, 2)}
        told["ms"] = round(span.milliseconds, 2)
        told |= {short: span.attributes[name] for name, short in _TOLD.items() if name in span.attributes}
        if span.error:
            told["error"] = span.error
        if span.events:
            told["events"] = [name for name, _, _ in span.events]
        return told


def with_told(metadata: Any) -> Any:
    """Trailing metadata of the present call with what its caller is told of it, if anything."""
    span = recorded()
    return span.metadata(metadata) if isinstance(span, ToldSpan) else metadata
