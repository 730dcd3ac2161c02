"""What is measured of KillrVideo, in prometheus-client's own registry. The library measures calls, callers and the registry.

The names of what is measured of the database are those of OpenTelemetry's semantic conventions 1.44.0. docs/observability.md lists all metrics.
"""

from collections.abc import Iterator
from functools import cache
from math import nan
from typing import Literal

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common import caches
from grpc_discovery.telemetry.metrics import BUCKETS

RATING_BATCHES = Counter("killrvideo_rating_batches", "Conditional writes of ratings that were applied.")
RATINGS_COALESCED = Counter("killrvideo_ratings_coalesced", "Ratings that were written along with another one.")
CLOCK_OFFSET = Gauge("killrvideo_clock_offset_seconds", "Cassandra's clock minus ours, as last measured.")
CLOCK_OFFSET.set(nan)  # not measured yet

_LISTS = Counter("killrvideo_suggestion_lists", "First pages of suggested videos, by the list.", ("list", "source"))
_OPERATIONS = Histogram(
    "db_client_operation_duration_seconds",
    "Operations of the database, as a repository waits for them.",
    ("db_system_name", "db_operation_name", "error_type"),
    buckets=BUCKETS,
)


@cache
def suggestion_lists(of: Literal["related", "for_person"], source: Literal["made", "kept", "content"]) -> Counter:
    """Counts the lists that were shown first: made for the call, kept from before, or made from content alone for lack of time."""
    return _LISTS.labels(of, source)


@cache
def database_operations(name: str, error: str = "") -> Histogram:
    """Takes the durations, in seconds, of operations of the database: `SELECT`, `INSERT`, `UPDATE`, `DELETE` or `BATCH`.

    `error` is the class of what they raised.
    """
    return _OPERATIONS.labels("cassandra", name, error)


class _CacheSizes(Collector):
    """The sizes of the caches as they are when somebody asks."""

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        entries = GaugeMetricFamily("killrvideo_cache_entries", "Entries of a cache.", labels=["cache"])
        size = GaugeMetricFamily("killrvideo_cache_bytes", "Bytes of a cache, by an estimate.", labels=["cache"])
        for name, found in sorted(caches.sizes().items()):
            entries.add_metric([name], found.entries)
            size.add_metric([name], found.bytes)
        yield entries
        yield size


REGISTRY.register(_CacheSizes())
