"""Log lines on standard output: text for people, or one JSON object a line. What is logged is the life of a process, not its code.

Only Application.run() and the command line call `configure`; the library logs to loggers below `grpc_discovery` and leaves the rest to
the program.
"""

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from grpc_discovery.addresses import printable
from grpc_discovery.telemetry.spans import current

# They tell of each lost connection and each retry, over and over. What matters of it the library says itself, once.
_NOISY_LIBRARIES = ("etcd", "urllib3", "grpc", "opentelemetry", "requests")


class TextFormatter(logging.Formatter):
    """A line for people. What is not printable in it is escaped, so that text from outside neither breaks a line nor drives a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without the trace of an exception, which follows it; with the beginnings of the ids of the call that is worked on."""
        at = current()
        ids = f" [trace {at.trace_id >> 96:08x} span {at.span_id >> 32:08x}]" if at else ""
        return printable(super().formatMessage(record)) + ids

    def formatException(self, ei: Any) -> str:
        """The trace in its own lines, each escaped: the text of an exception may come from outside, too."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: time (ISO 8601, UTC), level, logger, message, ids of the trace and of the span, and the trace of an exception."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level, message = record.levelname.lower(), record.getMessage()
        line = {"time": time, "level": level, "logger": record.name, "message": message}
        if at := current():
            line |= {"trace_id": f"{at.trace_id:032x}", "span_id": f"{at.span_id:016x}"}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, form: str, quiet: Iterable[str] = ()) -> None:
    """Send log lines of at least `level` (debug, info, warning, error) to standard output, in the form `text` or `json`.

    `quiet` names loggers of other libraries that, like those of etcd and gRPC, are heard only at the level debug.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in (*_NOISY_LIBRARIES, *quiet):
        logging.getLogger(library).setLevel("DEBUG" if level == "debug" else "CRITICAL")
