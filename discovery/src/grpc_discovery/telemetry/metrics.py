"""What is measured, in prometheus-client's own registry: the duration of calls as they end, all else as it stands when somebody asks."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from prometheus_client import REGISTRY, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from grpc_discovery import tallies
from grpc_discovery.balancing.pool import Pool
from grpc_discovery.balancing.resolver import Resolver
from grpc_discovery.registration import Registration, State
from grpc_discovery.serving.dependencies import Follower
from grpc_discovery.serving.handlers import Interceptor

BUCKETS = (
    0.0005,
    0.001,
    0.002,
    0.003,
    0.004,
    0.006,
    0.008,
    0.012,
    0.02,
    0.035,
    0.06,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Upper bounds in seconds: close together where most calls lie, 2 to 8 ms."""
MAX_METHODS = 1_000
"""Methods that are told apart on each side; names may come from outside, where a proxy takes all of them. More count as `_OTHER`."""

_LABELS = ("rpc_system_name", "rpc_method", "rpc_response_status_code")
SERVER_CALLS = Histogram("rpc_server_call_duration_seconds", "Calls taken.", _LABELS, buckets=BUCKETS)
CLIENT_CALLS = Histogram("rpc_client_call_duration_seconds", "Calls made, with all attempts.", _LABELS, buckets=BUCKETS)
_methods: set[tuple[Histogram, str]] = set()


class MethodTimes:
    """The durations of one method's calls, by status."""

    def __init__(self, histogram: Histogram, method: str) -> None:
        self._histogram = histogram
        self._method = method if len(_methods) < MAX_METHODS else "_OTHER"
        _methods.add((histogram, method))
        self._children: dict[str, Any] = {}

    def observe(self, status: str, seconds: float) -> None:
        """A call has ended."""
        child = self._children.get(status)
        if child is None:
            child = self._children[status] = self._histogram.labels("grpc", self._method, status)
        child.observe(seconds)


class States(Collector):
    """What the living parts of the library say of themselves."""

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        living = list(tallies.LIVING)
        yield from _of_servers([each for each in living if isinstance(each, Interceptor)])
        up = {(each.name,): float(each.is_alive) for each in living if isinstance(each, Follower)}
        yield _gauge("dependency_up", "Whether what services need can be used.", ["dependency"], up)
        yield from _of_registrations([each for each in living if isinstance(each, Registration)])
        yield from _of_callers([each for each in living if isinstance(each, Pool)])
        watches = [each for each in living if isinstance(each, Resolver)]
        up = {(each.name,): float(each.is_watching) for each in watches}
        yield _gauge("watch_up", "Whether the registry can be asked about the service.", ["name"], up)
        ages = {(each.name,): each.age for each in watches}
        yield _gauge("watch_age_seconds", "Since the registry has last told of the service.", ["name"], ages)


def _of_servers(servers: list[Interceptor]) -> Iterator[Metric]:
    under_way = sum(each.under_way for each in servers)
    yield _gauge("server_calls_in_flight", "Calls that are worked on.", [], {(): under_way})
    shed = sum(each.shed_calls for each in servers)
    yield _counter("server_shed_calls", "Calls refused because of overload.", [], {(): shed})
    delay = max((each.queue.delay for each in servers), default=0.0)
    yield _gauge("server_queue_delay_seconds", "How long calls wait before this process sees them.", [], {(): delay})
    hold = max((each.loop_monitor.recent_hold for each in servers), default=0.0)
    text = "The longest step on the event loop in the last 30 to 60 seconds, in CPU time."
    yield _gauge("event_loop_longest_hold_seconds", text, [], {(): hold})


def _of_registrations(registrations: list[Registration]) -> Iterator[Metric]:
    states = {
        (each.name, each.instance, state.value): float(each.state is state) for each in registrations for state in State
    }
    labels = ["name", "entry"]
    yield _gauge("registration_state", "1 for the state that the entry is in.", [*labels, "state"], states)
    ages = {(each.name, each.instance): each.age for each in registrations}
    yield _gauge("registration_age_seconds", "For how long the entry has been in its state.", labels, ages)
    failures = {(each.name,): 0.0 for each in registrations} | _by(tallies.REGISTRATION_FAILURES)
    yield _counter("registration_failures", "Attempts to advertise or renew that failed.", ["name"], failures)


def _of_callers(pools: list[Pool]) -> Iterator[Metric]:
    calls: Counter[tuple[str, ...]] = Counter()
    endpoints: Counter[tuple[str, ...]] = Counter()
    for pool in pools:
        known = pool.endpoints.values()
        calls[pool.name,] += sum(each.calls for each in known)
        endpoints[pool.name, "known"] += len(known)
        endpoints[pool.name, "ready"] += pool.ready
        endpoints[pool.name, "ejected"] += sum(each.ejected is not None for each in known)
    yield _gauge("client_calls_in_flight", "Calls that wait for their answer.", ["name"], calls)
    yield _gauge("client_endpoints", "Instances that this process is connected to.", ["name", "state"], endpoints)
    retries = {(pool.name,): 0.0 for pool in pools} | _by(tallies.RETRIES)
    yield _counter("client_retries", "Calls made again on another instance.", ["name"], retries)
    reasons = {(pool.name, reason): 0.0 for pool in pools for reason in ("hung", "failing")} | dict(tallies.EJECTIONS)
    yield _counter("client_ejections", "Instances that got no calls for a while.", ["name", "reason"], reasons)


def _by(counted: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): number for name, number in counted.items()}


def _filled(kind: Any, name: str, text: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    family = kind(f"grpc_discovery_{name}", text, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family  # type: ignore[no-any-return]


_gauge, _counter = partial(_filled, GaugeMetricFamily), partial(_filled, CounterMetricFamily)


REGISTRY.register(States())
