"""What a process serves over HTTP: /metrics, for Prometheus, and /summary, a few figures of the last seconds for pages and tools."""

import asyncio
import json
import time
from collections import Counter, deque
from datetime import UTC, datetime
from itertools import pairwise
from math import inf
from types import SimpleNamespace
from typing import Any, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from grpc_discovery import tallies
from grpc_discovery.serving.handlers import Interceptor
from grpc_discovery.serving.http import reply
from grpc_discovery.telemetry.calls import SERVER_ERRORS
from grpc_discovery.telemetry.metrics import SERVER_CALLS

_LOOK_EVERY_SECONDS = 2.0
_LOOKS = 6
_ERRORS = {*SERVER_ERRORS, "RESOURCE_EXHAUSTED"}


class _Look(NamedTuple):
    """What the counters said at a time."""

    at: float
    upto: Counter[float]
    """Calls that took at most so many seconds."""
    errors: float
    shed: int


class Endpoint:
    """The ASGI application of a process that serves calls, and what looks at its counters now and then."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._looks: deque[_Look] = deque([_look()], _LOOKS)
        self._since = datetime.now(UTC).isoformat(timespec="seconds")

    async def watch(self) -> None:
        """Look, every two seconds, so that there is something to compare with."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            self._looks.append(_look())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        match scope["path"]:
            case _ if scope["method"] not in ("GET", "HEAD"):
                await reply(send, 405, "text/plain", b"only GET\n")
            case "/metrics":
                await reply(send, 200, CONTENT_TYPE_LATEST, await _rendered())
            case "/summary":
                await reply(send, 200, "application/json", json.dumps(self.summary()).encode())
            case _:
                await reply(send, 404, "text/plain", b"There is /metrics and /summary.\n")

    def summary(self) -> dict[str, Any]:
        """Of the last ten seconds, or so: calls a second, latencies in milliseconds (None without calls), errors and shed calls; and what is now."""
        before, now = self._looks[0], _look()
        calls = now.upto - before.upto
        seconds = max(now.at - before.at, 0.001)
        return {
            "since": self._since,
            "seconds": round(seconds, 3),
            "calls_per_second": round(calls[inf] / seconds, 1),
            "p50_ms": _quantile(calls, 0.5),
            "p99_ms": _quantile(calls, 0.99),
            "errors": int(now.errors - before.errors),
            "shed": now.shed - before.shed,
            "in_flight": sum(each.under_way for each in _servers()),
            "memory_bytes": int(REGISTRY.get_sample_value("process_resident_memory_bytes") or 0),
        }


def _servers() -> list[Interceptor]:
    return [each for each in tallies.LIVING if isinstance(each, Interceptor)]


def _look() -> _Look:
    upto: Counter[float] = Counter()
    errors = 0.0
    for sample in next(iter(SERVER_CALLS.collect())).samples:
        if bound := sample.labels.get("le"):
            upto[float(bound)] += int(sample.value)
        elif sample.name.endswith("_count") and sample.labels["rpc_response_status_code"] in _ERRORS:
            errors += sample.value
    return _Look(time.monotonic(), upto, errors, sum(each.shed_calls for each in _servers()))


def _quantile(upto: Counter[float], share: float) -> float | None:
    """The latency, in milliseconds, that `share` of the calls did not exceed, interpolated within its bucket as Prometheus does."""
    wanted = share * upto[inf]
    for (low, below), (high, until) in pairwise([(0.0, 0), *sorted(upto.items())]):
        if until >= wanted > below:
            return round(1000 * (low if high == inf else low + (high - low) * (wanted - below) / (until - below)), 2)
    return None


async def _rendered() -> bytes:
    """All metrics; other calls go on between one and the next."""
    parts = []
    for family in REGISTRY.collect():
        # When each began to be counted, which nobody asks, would be half as much again.
        if family.type in ("counter", "histogram"):
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        parts.append(generate_latest(SimpleNamespace(collect=lambda only=family: [only])))
        await asyncio.sleep(0)
    return b"".join(parts)
