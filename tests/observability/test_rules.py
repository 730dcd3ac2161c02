"""Prometheus' configuration, rules and their unit tests, and the dashboard's queries, as promtool sees them."""

import json
import re
from pathlib import Path

import pytest
import yaml

from common.catalogue import SERVICES
from deploy import alerts, dashboard
from tests.observability.prometheus import FOLDER, promtool

pytestmark = pytest.mark.processes
NAMES = re.compile(r"\b(?:rpc|db|grpc_discovery|killrvideo|process)_[a-z_]+")


def test_the_configuration_and_the_rules_are_what_prometheus_reads() -> None:
    for name in ("prometheus.yml", "prometheus-containers.yml"):
        promtool("check", "config", FOLDER / name)
    promtool("check", "rules", FOLDER / "rules.yml")


def test_each_alert_fires_and_does_not_where_it_must_not() -> None:
    promtool("test", "rules", FOLDER / "rules.test.yml")
    tested = yaml.safe_load((FOLDER / "rules.test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {alert.name for alert in alerts.alerts()}


def test_each_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    queries = [query for row in dashboard.ROWS.values() for panel in row for query, _ in panel.queries]
    recorded = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    rules = tmp_path / "queries.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    promtool("check", "rules", rules)


def test_every_service_can_be_lost_and_every_alert_says_what_to_do() -> None:
    lost = {dict(alert.labels)["service"] for alert in alerts.alerts() if alert.name == "ServiceLost"}
    assert lost == set(SERVICES)
    operations = (FOLDER.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    for alert in alerts.alerts():
        assert f"| `{alert.name}` |" in operations
        assert alert.severity in ("critical", "warning")


def test_every_metric_that_is_asked_for_is_described() -> None:
    described = (FOLDER.parents[1] / "docs" / "observability.md").read_text(encoding="utf-8")
    text = alerts.rules() + json.dumps(json.loads(dashboard.dashboard()))
    asked = {re.sub(r"_(bucket|count|sum)$", "", name) for name in NAMES.findall(text)}
    assert len(asked) > 20
    assert {name for name in asked if f"`{name}`" not in described and not name.startswith("process_")} == set()
