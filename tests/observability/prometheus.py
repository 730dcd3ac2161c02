"""A real Prometheus, which Debian's package brings, with the project's own configuration: it scrapes what stands in a registry."""

import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from infra.layout import ROOT
from infra.ports import free_port
from infra.processes import Process

FOLDER = ROOT / "deploy" / "observability"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; where it is missing, the test fails in a sentence."""
    path = shutil.which(name)
    assert path, f"{name} is missing: apt-get install prometheus"
    return path


def promtool(*arguments: str | Path) -> None:
    """Run it; fails with what it prints where it finds a fault."""
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus(Process):
    """One on a free port, told by the `sd` command of what stands in the registry of `environment`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        port, sd_port = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
        config["rule_files"] = [str(FOLDER / "rules.yml")]
        config["scrape_configs"][1]["static_configs"][0]["targets"] = [f"127.0.0.1:{sd_port}"]
        config["scrape_configs"][0]["http_sd_configs"][0]["url"] = f"http://127.0.0.1:{sd_port}/targets"
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.sd = Process(
            "sd",
            [sys.executable, "-m", "client", "sd", "--port", str(sd_port)],
            folder / "sd.log",
            environment=environment,
            folder=ROOT,
        )
        super().__init__(
            "prometheus",
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--web.listen-address={self.address}",
                f"--storage.tsdb.path={folder / 'data'}",
            ],
            folder / "prometheus.log",
        )

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        try:
            return bool(self.query("vector(1)"))
        except OSError:
            return False

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series that a query has now."""
        answer = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': text})}")
        return [(each["metric"], float(each["value"][1])) for each in answer["result"]]

    def has_data(self, text: str) -> bool:
        """Whether a query has a number now."""
        return any(isfinite(value) for _, value in self.query(text))

    def firing(self, alert: str, **labels: str) -> bool:
        """Whether an alert fires now."""
        return any(
            each["state"] == "firing" and {"alertname": alert, **labels}.items() <= each["labels"].items()
            for each in self._get("/api/v1/alerts")["alerts"]
        )

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data


@contextmanager
def prometheus(folder: Path, environment: Mapping[str, str]) -> Iterator[Prometheus]:
    """One that runs, with its `sd`, while the block lasts."""
    started = Prometheus(folder, environment)
    with started.sd, started:
        yield started
