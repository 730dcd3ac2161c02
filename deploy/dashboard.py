"""The dashboard for Grafana as code: `python -m deploy.generate` writes deploy/observability/grafana/dashboards/killrvideo.json from it.

Each query gives data in a healthy system under load, also where nothing has failed: tests/observability asks a Prometheus all of them.
"""

import json
from typing import Any, NamedTuple

from deploy.alerts import FAILED

_WIDTH, _HEIGHT = 8, 8
_PER_ROW = 3
_SOURCE = {"type": "prometheus", "uid": "prometheus"}

_CALLS = "rpc_server_call_duration_seconds"
_OPERATIONS = "db_client_operation_duration_seconds"


class Panel(NamedTuple):
    """One chart: its title, its queries with their legends, and the unit, by Grafana's name."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"


ROWS: dict[str, tuple[Panel, ...]] = {
    "Calls": (
        Panel("Calls a second", ((f"sum by (service) (rate({_CALLS}_count[1m]))", "{{service}}"),), "reqps"),
        Panel(
            "Calls a second by status",
            ((f"sum by (rpc_response_status_code) (rate({_CALLS}_count[1m]))", "{{rpc_response_status_code}}"),),
            "reqps",
        ),
        Panel(
            "Share of failed calls",
            (
                (
                    f'sum(rate({_CALLS}_count{{rpc_response_status_code=~"{FAILED}"}}[1m]) or vector(0))'
                    f" / sum(rate({_CALLS}_count[1m]))",
                    "failed",
                ),
            ),
            "percentunit",
        ),
    ),
    "Latency": (
        Panel(
            "Median",
            ((f"histogram_quantile(0.5, sum by (le, service) (rate({_CALLS}_bucket[1m])))", "{{service}}"),),
            "s",
        ),
        Panel(
            "The slowest in a hundred",
            ((f"histogram_quantile(0.99, sum by (le, service) (rate({_CALLS}_bucket[1m])))", "{{service}}"),),
            "s",
        ),
        Panel(
            "The slowest in a hundred, by method",
            (
                (
                    f"topk(10, histogram_quantile(0.99, sum by (le, rpc_method) (rate({_CALLS}_bucket[1m]))))",
                    "{{rpc_method}}",
                ),
            ),
            "s",
        ),
    ),
    "Load": (
        Panel("Calls in flight", (("sum by (service) (grpc_discovery_server_calls_in_flight)", "{{service}}"),)),
        Panel(
            "Shed calls a second",
            (("sum by (service) (rate(grpc_discovery_server_shed_calls_total[1m]))", "{{service}}"),),
            "reqps",
        ),
        Panel(
            "Queue delay, and the longest hold of the event loop",
            (
                ("max by (service) (grpc_discovery_server_queue_delay_seconds)", "{{service}} queue"),
                ("max by (service) (grpc_discovery_event_loop_longest_hold_seconds)", "{{service}} hold"),
            ),
            "s",
        ),
    ),
    "Registry": (
        Panel(
            "Instances that answer",
            (('sum by (service) (up{job="killrvideo"})', "{{service}}"),),
        ),
        Panel(
            "Registrations by state",
            (("sum by (state) (grpc_discovery_registration_state)", "{{state}}"),),
        ),
        Panel(
            "Failed attempts to advertise, a second",
            (("sum by (service) (rate(grpc_discovery_registration_failures_total[1m]))", "{{service}}"),),
        ),
    ),
    "Callers that are scraped": (
        Panel(
            "Instances known, ready and ejected",
            (("sum by (name, state) (grpc_discovery_client_endpoints) or vector(0)", "{{name}} {{state}}"),),
        ),
        Panel(
            "Retries and ejections a second",
            (
                ("sum by (name) (rate(grpc_discovery_client_retries_total[1m])) or vector(0)", "{{name}} retries"),
                ("sum by (name) (rate(grpc_discovery_client_ejections_total[1m])) or vector(0)", "{{name}} ejections"),
            ),
        ),
        Panel(
            "Since the registry has told of a service",
            (("max by (name) (grpc_discovery_watch_age_seconds) or vector(0)", "{{name}}"),),
            "s",
        ),
    ),
    "Cassandra": (
        Panel(
            "Operations a second",
            ((f"sum by (db_operation_name) (rate({_OPERATIONS}_count[1m]))", "{{db_operation_name}}"),),
            "reqps",
        ),
        Panel(
            "Operations, the slowest in a hundred",
            (
                (
                    f"histogram_quantile(0.99, sum by (le, db_operation_name) (rate({_OPERATIONS}_bucket[1m])))",
                    "{{db_operation_name}}",
                ),
            ),
            "s",
        ),
        Panel(
            "Reachable, and clocks apart",
            (
                ("min by (dependency) (grpc_discovery_dependency_up)", "{{dependency}} reachable"),
                ("max(abs(killrvideo_clock_offset_seconds)) or vector(0)", "clocks apart, seconds"),
            ),
        ),
    ),
    "KillrVideo": (
        Panel(
            "Suggestion lists a second, by where they come from",
            (
                (
                    "sum by (list, source) (rate(killrvideo_suggestion_lists_total[1m])) or vector(0)",
                    "{{list}} {{source}}",
                ),
            ),
        ),
        Panel(
            "Ratings written, and written along with another, a second",
            (
                ("sum(rate(killrvideo_rating_batches_total[1m]))", "batches"),
                ("sum(rate(killrvideo_ratings_coalesced_total[1m]))", "coalesced"),
            ),
        ),
        Panel("Caches", (("sum by (cache) (killrvideo_cache_bytes)", "{{cache}}"),), "bytes"),
    ),
    "Processes": (
        Panel("CPU", (("sum by (service) (rate(process_cpu_seconds_total[1m]))", "{{service}}"),), "percentunit"),
        Panel("Memory", (("sum by (service) (process_resident_memory_bytes)", "{{service}}"),), "bytes"),
        Panel("Open files", (("sum by (service) (process_open_fds)", "{{service}}"),)),
    ),
}
"""The charts, by the title of their row."""


def dashboard() -> str:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "collapsed": False})
        y += 1
        panels += [_panel(panel, _WIDTH * (number % _PER_ROW), y) for number, panel in enumerate(row)]
        y += _HEIGHT
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    content = {
        "uid": "killrvideo",
        "title": "KillrVideo",
        "tags": ["killrvideo"],
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "panels": panels,
    }
    return json.dumps(content, indent=1) + "\n"


def _panel(panel: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }
