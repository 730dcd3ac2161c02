"""What a process of ours says of itself at /metrics, and what a call is told of its statements."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.catalogue import TRACE_KEY
from infra.ports import free_port
from protos import ratings_pb2, ratings_pb2_grpc
from tests.processes import SERVICES, ServiceProcess
from tests.scenarios.wire import Wire, new_id, u

StartService = Callable[..., ServiceProcess]


def metrics(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a process tells, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_a_process_tells_of_its_statements_its_ratings_its_caches_and_the_clock(start_service: StartService) -> None:
    port = free_port()
    process = start_service("ratings", KILLRVIDEO_METRICS_PORT=str(port))
    wire = Wire({SERVICES["ratings"]: process.address})
    wire.RateVideo(video_id=u(new_id()), user_id=u(new_id()), rating=4)
    wire.close()
    told = metrics(port)
    assert told[of("killrvideo_rating_batches_total")] == 1
    assert told[of("killrvideo_ratings_coalesced_total")] == 0
    assert abs(told[of("killrvideo_clock_offset_seconds")]) < 0.5
    assert told[of("killrvideo_cache_entries", cache="statements")] > 10
    assert told[of("killrvideo_cache_bytes", cache="pending_ratings")] == 0
    for name in ("SELECT", "BATCH", "INSERT"):
        labels = {"db_system_name": "cassandra", "db_operation_name": name, "error_type": ""}
        assert told[of("db_client_operation_duration_seconds_count", **labels)] >= 1, name


def test_a_process_without_metrics_has_none(start_service: StartService) -> None:
    process = start_service("ratings", KILLRVIDEO_METRICS_PORT="0")
    with pytest.raises(urllib.error.URLError):
        metrics(process.port + 1_000)


def test_a_caller_who_asks_is_told_the_statements_of_its_call(start_service: StartService) -> None:
    process = start_service("ratings")
    wire = Wire({SERVICES["ratings"]: process.address})
    stub = ratings_pb2_grpc.RatingsServiceStub(wire.channels[SERVICES["ratings"]])
    request = ratings_pb2.GetUserRatingRequest(video_id=u(new_id()), user_id=u(new_id()))
    _, call = stub.GetUserRating.with_call(request, timeout=15, metadata=((TRACE_KEY, "1"),))
    wire.close()
    spans = json.loads(dict(call.trailing_metadata())[TRACE_KEY])["spans"]
    assert [(span["name"], span.get("rows")) for span in spans] == [
        ("killrvideo.ratings.RatingsService/GetUserRating", None),
        ("SELECT video_ratings_by_user", 0),
    ]
    assert spans[1]["statement"].endswith("WHERE videoid = ? AND userid = ?")
