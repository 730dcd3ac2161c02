"""Spans and metrics sent to a collector by OpenTelemetry's exporter, as its standard variables say (OTEL_EXPORTER_OTLP_ENDPOINT and others)."""

import asyncio
import atexit
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import export as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from prometheus_client import REGISTRY

from grpc_discovery.telemetry.spans import Span

_SCOPE = InstrumentationScope("grpc_discovery")
_LAST_SECONDS = 2.0
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
# Names that the conventions write with dots.
_NAMES = """rpc.server.call.duration rpc.client.call.duration rpc.system.name rpc.method rpc.response.status_code
    db.client.operation.duration db.system.name db.operation.name error.type""".split()
_DOTTED = {name.replace(".", "_"): name for name in _NAMES}


@cache
def span_export(service: str, instance: str) -> Callable[[Span], None]:
    """What takes spans that have ended, and sends them in the background, many at a time. One of a process under that name."""
    resource, processor = _resource(service, instance), BatchSpanProcessor(OTLPSpanExporter())
    atexit.register(_send_the_rest, processor)

    def export(span: Span) -> None:
        parent = SpanContext(span.trace_id, span.parent_id, True, _SAMPLED) if span.parent_id else None
        ended = ReadableSpan(
            span.name,
            SpanContext(span.trace_id, span.span_id, False, _SAMPLED),
            parent,
            resource,
            span.attributes,
            [Event(name, attributes, at) for name, at, attributes in span.events],
            kind=SpanKind[span.kind],
            status=Status(StatusCode.ERROR) if span.error else Status(),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=_SCOPE,
        )
        processor.on_end(ended)

    return export


def _send_the_rest(processor: BatchSpanProcessor) -> None:
    """At the end of the process, which a collector that is away must not hold up."""
    sending = threading.Thread(target=processor.shutdown, daemon=True)
    sending.start()
    sending.join(_LAST_SECONDS)


async def send_metrics(service: str, instance: str) -> None:
    """Send what the registry of prometheus-client holds, each OTEL_METRIC_EXPORT_INTERVAL milliseconds (60,000), without end."""
    exporter, resource = OTLPMetricExporter(), _resource(service, instance)
    began, seconds = time.time_ns(), float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "60000")) / 1000
    while True:
        await asyncio.sleep(seconds)
        now = time.time_ns()
        metrics = [_metric(family, began, now) for family in REGISTRY.collect() if family.type in _MAKERS]
        scopes = [otel.ScopeMetrics(_SCOPE, metrics, "")]
        data = otel.MetricsData([otel.ResourceMetrics(resource, scopes, "")])
        await asyncio.to_thread(exporter.export, data)


def _resource(service: str, instance: str) -> Resource:
    named = {"service.name": service} if service and "OTEL_SERVICE_NAME" not in os.environ else {}
    return Resource.create({**named, **({"service.instance.id": instance} if instance else {})})


def _metric(family: Any, began: int, now: int) -> otel.Metric:
    plain, _, unit = family.name.rpartition("_")
    return otel.Metric(
        _DOTTED.get(plain, family.name),
        family.documentation,
        {"seconds": "s", "bytes": "By"}.get(unit, "1"),
        _MAKERS[family.type](family, began, now),
    )


def _attributes(labels: dict[str, str]) -> dict[str, str]:
    return {_DOTTED.get(name, name): value for name, value in labels.items() if name != "le" and value}


def _numbers(family: Any, began: int, now: int) -> list[otel.NumberDataPoint]:
    samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return [otel.NumberDataPoint(_attributes(each.labels), began, now, each.value) for each in samples]


def _histogram(family: Any, began: int, now: int) -> otel.Histogram:
    grouped: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for sample in family.samples:
        grouped[tuple(_attributes(sample.labels).items())].append(sample)
    points = []
    for attributes, samples in grouped.items():
        upto = [(float(each.labels["le"]), int(each.value)) for each in samples if "le" in each.labels]
        total = next(each.value for each in samples if each.name.endswith("_sum"))
        counts = [count - before for (_, count), before in zip(upto, [0, *(count for _, count in upto)], strict=False)]
        bounds = [bound for bound, _ in upto[:-1]]
        points.append(
            otel.HistogramDataPoint(dict(attributes), began, now, upto[-1][1], total, counts, bounds, 0.0, 0.0)
        )
    return otel.Histogram(points, otel.AggregationTemporality.CUMULATIVE)


_MAKERS: dict[str, Any] = {
    "gauge": lambda *taken: otel.Gauge(_numbers(*taken)),
    "counter": lambda *taken: otel.Sum(_numbers(*taken), otel.AggregationTemporality.CUMULATIVE, is_monotonic=True),
    "histogram": _histogram,
}
