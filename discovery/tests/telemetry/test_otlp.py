"""What a process sends to a collector: one of this test, which reads OpenTelemetry's messages."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from discovery.tests.balancing.servers import GREETER
from discovery.tests.processes.greeters import GreeterProcess
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub

pytestmark = pytest.mark.processes
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collected:
    """What has come."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.resource: dict[str, str] = {}
        self.address = ""

    def take(self, path: str, body: bytes) -> None:
        """Read a message."""
        if path == "/v1/traces":
            for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [span for scope in of.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for each in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.resource = attributes(each.resource)
                self.metrics |= {metric.name: metric for scope in each.scope_metrics for metric in scope.metrics}


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@contextmanager
def collector() -> Iterator[Collected]:
    collected = Collected()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collected.take(self.path, body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        collected.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield collected
        finally:
            server.shutdown()


def greeter(folder: Path, collected: Collected, **settings: str) -> GreeterProcess:
    process = GreeterProcess(folder, {"DISCOVERY": "static", **settings})
    process.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collected.address,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
    }
    return process


async def test_spans_and_metrics_arrive_by_the_names_of_the_conventions(tmp_path: Path) -> None:
    with collector() as collected, greeter(tmp_path, collected, TRACE_RATIO="0", INSTANCE="one") as process:
        with grpc.insecure_channel(process.address) as channel:
            metadata = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)
            GreeterStub(channel).SayHello(HelloRequest(name="you"), timeout=5, metadata=metadata)
            GreeterStub(channel).SayHello(HelloRequest(name="you"), timeout=5)
        await eventually(lambda: bool(collected.spans), 10, "a span arrives")
        await eventually(lambda: "rpc.server.call.duration" in collected.metrics, 10, "metrics arrive")
    [span] = collected.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, "00f067aa0ba902b7")
    assert (span.name, span.kind, span.end_time_unix_nano > span.start_time_unix_nano) == (
        f"{GREETER}/SayHello",
        2,
        True,
    )
    assert attributes(span) == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{GREETER}/SayHello",
        "rpc.response.status_code": "OK",
    }
    duration = collected.metrics["rpc.server.call.duration"]
    [point] = duration.histogram.data_points
    assert (duration.unit, point.count, sum(point.bucket_counts)) == ("s", 2, 2)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert attributes(point)["rpc.response.status_code"] == "OK"
    assert collected.metrics["process_open_fds"].gauge.data_points
    assert collected.metrics["grpc_discovery_server_shed_calls"].sum.is_monotonic
    assert collected.resource["service.instance.id"] == "one"


async def test_all_calls_are_sent_where_the_ratio_is_1_and_a_stop_sends_the_rest(tmp_path: Path) -> None:
    with collector() as collected:
        with (
            greeter(tmp_path, collected, TRACE_RATIO="1") as process,
            grpc.insecure_channel(process.address) as channel,
        ):
            process.environment["OTEL_BSP_SCHEDULE_DELAY"] = "60000"
            for _ in range(20):
                GreeterStub(channel).SayHello(HelloRequest(name="you"), timeout=5)
        await eventually(lambda: len(collected.spans) == 20, 10, "all arrive")
        assert len({span.trace_id for span in collected.spans}) == 20


async def test_a_collector_that_is_away_disturbs_no_call_and_not_the_end(tmp_path: Path) -> None:
    away = Collected()
    away.address = "http://127.0.0.1:9"
    with greeter(tmp_path, away, TRACE_RATIO="1") as process:
        for _ in range(5):
            assert process.says("you")
    assert process.wait_end(1) == 0
    assert "Traceback" not in process.log_text()
