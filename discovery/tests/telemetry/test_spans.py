"""What a caller sends as traceparent, and what becomes of a span."""

import pytest

from grpc_discovery.telemetry.spans import Span, new_root, parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
def test_a_traceparent_is_read_and_written(flags: str, sampled: bool) -> None:
    found = parse(f"00-{TRACE}-{SPAN}-{flags}", "vendor=1")
    assert found
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}", found.sampled) == (TRACE, SPAN, sampled)
    assert found.as_metadata() == (("traceparent", f"00-{TRACE}-{SPAN}-0{int(sampled)}"), ("tracestate", "vendor=1"))


def test_a_later_version_may_say_more() -> None:
    assert parse(f"01-{TRACE}-{SPAN}-01-more")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[:-1]}x-{SPAN}-01",
        "\u0660" * 55,
    ],
)
def test_what_is_none_is_passed_over(text: str) -> None:
    assert parse(text) is None


def test_a_span_goes_to_its_sinks_once_and_its_children_with_it() -> None:
    ended: list[Span] = []
    parent = Span("outer", "SERVER", {}, (ended.append,), new_root(True))
    child = parent.child("inner", "CLIENT", {"a": 1})
    child.add_event("retry", why="because")
    child.end("Lost")
    child.end()
    parent.end()
    assert ended == [child, parent]
    assert (child.trace_id, child.parent_id, child.sampled) == (parent.trace_id, parent.span_id, True)
    assert (child.error, child.attributes) == ("Lost", {"a": 1, "error.type": "Lost"})
    assert [(name, attributes) for name, _, attributes in child.events] == [("retry", {"why": "because"})]


def test_a_span_keeps_only_so_many_events() -> None:
    span = Span("x", "SERVER", {}, (), new_root(True))
    for _ in range(1000):
        span.add_event("retry")
    assert len(span.events) == 64
