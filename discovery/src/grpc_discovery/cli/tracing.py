"""`call --trace`: a call is recorded on this side, the server is asked what it did on the other, and both are shown as a tree."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpc_discovery.addresses import printable
from grpc_discovery.telemetry.spans import Span, enter, leave, new_root

_UNTOLD = "the server does not tell what it did: it tells callers on its own machine, elsewhere where {prefix}TRACE_TO_CALLERS=true"


@asynccontextmanager
async def recording() -> AsyncIterator[list[Span]]:
    """Record the calls that this task makes meanwhile; the list has a span of each that has ended."""
    spans: list[Span] = []
    token = enter(Span("", "CLIENT", {}, (spans.append,), new_root(False)))
    try:
        yield spans
    finally:
        leave(token)


def show(spans: list[Span], trailing: Any, key: str, prefix: str) -> None:
    """Print, on standard error, what was recorded of a call and what its server tells in the trailing metadata `key`."""
    lines = []
    for span in spans:
        at, attempts = span.attributes, span.attributes.get("grpc_discovery.attempts", 0)
        where = f"{at['server.address']}:{at['server.port']}" if attempts else "no instance"
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        lines.append(f"{span.name}  {span.milliseconds:.1f} ms, {times}, {where}{_failed(span.error)}")
        for name, _, attributes in span.events:
            lines.append(f"  {name}: {', '.join(map(str, attributes.values()))}")
    told = next((value for name, value in trailing or () if name == key), None)
    lines += _lines_of_server(told) if told else [_UNTOLD.format(prefix=prefix)]
    print("\n".join(map(printable, lines)), file=sys.stderr)


def _lines_of_server(told: str) -> list[str]:
    """What a server tells, one line a span, and below a statement its text."""
    try:
        trace = json.loads(told)
        [server, *inner] = trace["spans"]
        lines = [f"trace {trace['trace_id']}"]
        lines.append(f"  {trace['instance']} worked on it for {server['ms']} ms{_failed(server.get('error'))}")
        for span in inner:
            rows = f", {span['rows']} rows" if "rows" in span else ""
            events = f", {', '.join(span['events'])}" if "events" in span else ""
            lines.append(
                f"    at {span['at_ms']:>7} ms  {span['name']}  {span['ms']} ms{rows}{events}{_failed(span.get('error'))}"
            )
            if "statement" in span:
                lines.append(f"        {' '.join(span['statement'].split())}")
        if left_out := trace.get("left_out"):
            lines.append(f"    and {left_out} more, which did not fit into the answer")
    except (ValueError, TypeError, KeyError):
        return [f"what the server tells is not understood: {told}"]
    return lines


def _failed(error: Any) -> str:
    return f", {error}" if error else ""
