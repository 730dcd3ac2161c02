"""What a process serves over HTTP: its metrics, and its summary."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from discovery.tests.balancing.servers import GREETER
from discovery.tests.missing import without
from discovery.tests.processes.greeters import GreeterProcess
from discovery.tests.telemetry.observed import METRICS_OFFSET, running
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub
from grpc_discovery.serving.server import PortTaken
from infra.ports import free_port

OF_A_SERVER = {
    "rpc_server_call_duration_seconds",
    "grpc_discovery_server_calls_in_flight",
    "grpc_discovery_server_shed_calls",
    "grpc_discovery_server_queue_delay_seconds",
    "grpc_discovery_event_loop_longest_hold_seconds",
    "grpc_discovery_dependency_up",
    "grpc_discovery_registration_state",
    "grpc_discovery_registration_age_seconds",
    "grpc_discovery_registration_failures",
    "process_cpu_seconds",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_start_time_seconds",
}
OF_A_CALLER = {
    "rpc_client_call_duration_seconds",
    "grpc_discovery_client_calls_in_flight",
    "grpc_discovery_client_endpoints",
    "grpc_discovery_client_retries",
    "grpc_discovery_client_ejections",
    "grpc_discovery_watch_up",
    "grpc_discovery_watch_age_seconds",
}


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    async with running() as greeter, greeter.channel() as channel:
        await GreeterStub(channel).SayHello(HelloRequest(), timeout=5)
        status, text = await greeter.fetch("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert status == 200
    assert families.keys() >= OF_A_SERVER | OF_A_CALLER
    assert all(family.documentation for family in families.values())
    buckets = {
        float(sample.labels["le"])
        for sample in families["rpc_server_call_duration_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert (min(buckets), sorted(buckets)[-2]) == (0.0005, 10.0)
    states = {
        sample.labels["state"]: sample.value
        for sample in families["grpc_discovery_registration_state"].samples
        if sample.labels["entry"] == greeter.address
    }
    assert states == {"waiting": 0.0, "advertised": 1.0, "lost": 0.0, "withdrawn": 0.0}
    endpoints = {
        sample.labels["state"]: sample.value
        for sample in families["grpc_discovery_client_endpoints"].samples
        if sample.labels["name"] == GREETER
    }
    assert endpoints == {"known": 1.0, "ready": 1.0, "ejected": 0.0}


async def test_the_summary_tells_of_the_last_seconds_in_less_than_a_kilobyte() -> None:
    async with running() as greeter, greeter.channel() as channel:
        stub = GreeterStub(channel)
        for name in ["you"] * 50 + ["nobody", "broken"]:
            await stub.SayHello(HelloRequest(name=name), timeout=5).code()
        status, text = await greeter.fetch("/summary")
    told = json.loads(text)
    assert (status, len(text) < 1000) == (200, True)
    assert told["calls_per_second"] == pytest.approx(52 / told["seconds"], rel=0.1)
    assert 0 < told["p50_ms"] <= told["p99_ms"] < 5000
    assert (told["errors"], told["shed"], told["in_flight"]) == (1, 0, 0)
    assert told["memory_bytes"] > 10_000_000
    assert told["since"].endswith("+00:00")


async def test_without_calls_the_summary_has_no_latencies() -> None:
    async with running() as greeter:
        told = json.loads((await greeter.fetch("/summary"))[1])
    assert (told["calls_per_second"], told["p50_ms"], told["p99_ms"]) == (0, None, None)


async def test_other_paths_and_methods_are_refused() -> None:
    async with running() as greeter:
        assert await greeter.fetch("/") == (404, "There is /metrics and /summary.\n")
        assert (await greeter.fetch("/metrics", "POST"))[0] == 405


async def test_port_and_host_are_settings_and_0_is_none() -> None:
    port = free_port()
    async with running(metrics_port=port, metrics_host="::1"):
        reader, writer = await asyncio.open_connection("::1", port)
        writer.write(b"GET /summary HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()
    async with running(metrics_port=0) as greeter:
        with pytest.raises(OSError, match="refused"):
            await greeter.fetch("/metrics")


async def test_an_idle_connection_does_not_hold_up_the_end() -> None:
    async with running() as greeter:
        _, writer = await asyncio.open_connection("127.0.0.1", int(greeter.metrics.rpartition(":")[2]))
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 3
    writer.close()


async def test_a_taken_port_is_told_with_the_setting_that_chooses_another() -> None:
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(PortTaken, match=f"127.0.0.1:{port} .*TEST_METRICS_PORT chooses another, 0 none"),
    ):
        async with running(metrics_port=port):
            pass


@pytest.mark.processes
async def test_a_taken_port_ends_a_process_with_1(tmp_path: Path) -> None:
    process = GreeterProcess(tmp_path, {"DISCOVERY": "static"})
    with socket.create_server(("127.0.0.1", process.port + METRICS_OFFSET)):
        process.start()
        assert process.wait_end(10) == 1, process.log_end()
    assert "GREETER_METRICS_PORT chooses another" in process.log_text()


@pytest.mark.processes
async def test_without_the_extra_there_are_no_metrics_unless_they_are_asked_for(tmp_path: Path) -> None:
    missing = without("prometheus_client", tmp_path)
    process = GreeterProcess(tmp_path, {"DISCOVERY": "static"}, python_path=missing)
    process.start()
    try:
        await eventually(process.is_ready, 10, "it serves all the same")
        assert process.says("you")
        assert "metrics on" not in process.log_text()
    finally:
        process.kill()
    asked = GreeterProcess(tmp_path, {"DISCOVERY": "static", "METRICS_PORT": str(free_port())}, python_path=missing)
    asked.start()
    assert asked.wait_end(10) == 2, asked.log_end()
    assert "GREETER_METRICS_PORT needs what `pip install grpc-discovery[telemetry]` brings" in asked.log_text()
