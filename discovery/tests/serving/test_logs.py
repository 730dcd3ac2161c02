"""Log lines: one record is one line, whatever comes from outside."""

import json
import logging
import sys

import pytest

from grpc_discovery.logs import JsonFormatter, TextFormatter


def _record(text: str, *, trace: bool = False) -> logging.LogRecord:
    raised = None
    if trace:
        try:
            raise ValueError("why\x1b[2J")
        except ValueError:
            raised = sys.exc_info()
    return logging.LogRecord("greeter", logging.INFO, __file__, 1, "%s answered", (text,), raised)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("x\u202ey", "x\\u202ey"),
        ("Zoë — 日本", "Zoë — 日本"),
    ],
)
def test_nothing_from_outside_breaks_a_line_or_drives_a_terminal(sent: str, shown: str) -> None:
    line = TextFormatter().format(_record(sent))
    assert line.endswith(f"INFO    greeter: {shown} answered")


def test_a_trace_keeps_its_lines() -> None:
    lines = TextFormatter().format(_record("it", trace=True)).splitlines()
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: why\\x1b[2J"


def test_json_lines_hold_time_level_logger_message_and_trace() -> None:
    text = JsonFormatter().format(_record("a\nb", trace=True))
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("info", "greeter", "a\nb answered")
    assert line["time"].endswith("+00:00")
    assert "ValueError: why" in line["trace"]
