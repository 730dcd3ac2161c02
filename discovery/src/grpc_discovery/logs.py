"""Log lines on standard output: text for people, or one JSON object a line. What is logged is the life of a process, not its code."""

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: time (ISO 8601, UTC), level, logger, message, and the trace of an exception."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, form: str) -> None:
    """Send log lines of at least `level` to standard output, in the form `text` or `json`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter() if form == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The libraries tell of each lost connection and each retry, over and over; what matters of it we say ourselves, once.
    for library in ("cassandra", "etcd", "urllib3", "grpc"):
        logging.getLogger(library).setLevel("DEBUG" if level == "debug" else "CRITICAL")
