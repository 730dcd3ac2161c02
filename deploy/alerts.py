"""What Prometheus is told: whom to scrape, and when to raise an alarm. `python -m deploy.generate` writes deploy/observability/ from it.

An instance is scraped from when it stands in the registry (`python -m client sd`) until some seconds after it has left. Whether it stands there at
this moment that command tells, too: one that was killed does for its TTL, one that stopped in order does not. docs/operations.md says what to do
about each alert.
"""

from typing import Any, NamedTuple

import yaml

from common.catalogue import SERVICES

SOURCE = "# Written by `make generate` from deploy/alerts.py; edit that.\n"
JOB = "killrvideo"
SD_PORT = 8998

FAILED = "INTERNAL|UNKNOWN|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED"
"""Statuses that say that a service did not do its part, as a pattern."""

_CALLS = "rpc_server_call_duration_seconds_count"


class Alert(NamedTuple):
    """One rule. `lasting` is how long the condition must hold, `kept` how long the alert is kept after it no longer does."""

    name: str
    condition: str
    lasting: str
    severity: str
    summary: str
    advice: str
    kept: str = "0s"
    labels: tuple[tuple[str, str], ...] = ()

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        rule: dict[str, Any] = {"alert": self.name, "expr": self.condition, "for": self.lasting}
        if self.kept != "0s":
            rule["keep_firing_for"] = self.kept
        rule["labels"] = {"severity": self.severity, **dict(self.labels)}
        rule["annotations"] = {"summary": self.summary, "description": self.advice}
        return rule


def up(name: str) -> str:
    """A condition: instances of a service that were scraped."""
    return f'up{{job="{JOB}",service=~"(.*,)?{name}(,.*)?"}} == 1'


def alerts() -> list[Alert]:
    """All of them, the gravest first."""
    return [*map(_service_lost, SERVICES), *_OF_EVERY_SERVICE]


def _service_lost(name: str) -> Alert:
    return Alert(
        "ServiceLost",
        f"absent({up(name)})",
        "10s",
        "critical",
        f"No instance of {name} answers",
        "Nobody can call it. See who should run (make status, docker compose ps) and the logs of its last instance.",
        labels=(("service", name),),
    )


_OF_EVERY_SERVICE = (
    Alert(
        "CassandraAway",
        # Also when they have left the registry for it, and so are not scraped any more: by what each said last.
        "max by (dependency) (last_over_time(grpc_discovery_dependency_up[1h])) == 0",
        "4s",
        "critical",
        "No service reaches {{ $labels.dependency }}",
        "Services report NOT_SERVING and have left the registry; they come back by themselves. Look at Cassandra and the network to it.",
    ),
    Alert(
        "InstanceLost",
        f'up{{job="{JOB}"}} == 0 and on (instance) grpc_discovery_advertised == 1',
        "2s",
        "warning",
        "{{ $labels.service }} at {{ $labels.instance }} is advertised and does not answer",
        "It was killed or hangs. Its entry goes within a TTL; whoever runs it should start it again. Callers go round it.",
        kept="1m",
    ),
    Alert(
        "RegistrationLost",
        'max by (service, instance) (grpc_discovery_registration_state{state="lost"}) == 1',
        "5s",
        "warning",
        "{{ $labels.service }} at {{ $labels.instance }} cannot keep its entry in the registry",
        "New callers do not find it. Look at etcd; the instance's log says why, and it tries again every two seconds.",
    ),
    Alert(
        "ErrorShare",
        f'sum by (service) (rate({_CALLS}{{rpc_response_status_code=~"{FAILED}"}}[1m]))'
        f" / sum by (service) (rate({_CALLS}[1m])) > 0.05",
        "15s",
        "critical",
        "{{ $value | humanizePercentage }} of the calls of {{ $labels.service }} fail",
        "Which status says why: UNAVAILABLE is Cassandra, RESOURCE_EXHAUSTED is overload, INTERNAL has a reference in the log.",
    ),
    Alert(
        "SlowCalls",
        "histogram_quantile(0.99, sum by (le, rpc_method) (rate(rpc_server_call_duration_seconds_bucket[2m]))) > 1",
        "30s",
        "warning",
        "One in a hundred calls of {{ $labels.rpc_method }} takes more than a second",
        "See what its statements take (db_client_operation_duration_seconds, or call --trace), and whether the event loop is held.",
    ),
    Alert(
        "QueueDelay",
        "grpc_discovery_server_queue_delay_seconds > 0.25",
        "10s",
        "warning",
        "Calls of {{ $labels.service }} at {{ $labels.instance }} wait before they are worked on",
        "It has more calls than it can take and sheds some. Start another instance.",
    ),
    Alert(
        "ClocksApart",
        "abs(killrvideo_clock_offset_seconds) > 0.5",
        "1m",
        "warning",
        "The clocks of {{ $labels.instance }} and of Cassandra are {{ $value | humanizeDuration }} apart",
        "The newest timestamp wins in Cassandra: set the clocks right (NTP) before writes are lost to older ones.",
    ),
)


def rules() -> str:
    """deploy/observability/rules.yml."""
    return SOURCE + _yaml({"groups": [{"name": JOB, "rules": [alert.rule() for alert in alerts()]}]})


def prometheus(sd_host: str) -> str:
    """deploy/observability/prometheus.yml, with `python -m client sd` on that host."""
    scrape = {
        "job_name": JOB,
        "http_sd_configs": [{"url": f"http://{sd_host}:{SD_PORT}/targets", "refresh_interval": "2s"}],
    }
    registry = {
        "job_name": "registry",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "honor_labels": True,
        "static_configs": [{"targets": [f"{sd_host}:{SD_PORT}"]}],
    }
    return SOURCE + _yaml(
        {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [scrape, registry],
        }
    )


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=150, allow_unicode=True)
