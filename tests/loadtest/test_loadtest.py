"""The load test as a person uses it: what a run counts and reports, how it ends early, and what it refuses to do."""

import json
import re
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from infra.layout import ROOT
from infra.ports import free_port
from infra.processes import Process
from loadtest.histograms import decode
from loadtest.results import Result, Second, StepRecord
from loadtest.workload import PRESETS, WorkloadError, load
from tests.processes import ServiceProcess
from tests.scenarios.wire import Wire, eventually, submit, u

WORKLOAD = """
name = "small"
seconds = 4
rate = 20

[mix]
home = 2
watch = 4
search = 1
comments_page = 1
user_page = 1
suggested = 1
sign_in = 1
comment = 1
rate = 1
submit = 1

[[steps]]
at = 2.0
do = "rate 40"
"""


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    """A few seconds of everything that visitors do, at a rate that changes."""
    file = tmp_path / "small.toml"
    file.write_text(WORKLOAD)
    return file


@pytest.fixture
def videos(wire: Wire) -> list[str]:
    """Some videos to ask for."""
    return [submit(wire, f"A video to watch, number {number}", tags=("load", "test")) for number in range(5)]


def loadtest(folder: Path, *words: object, **settings: str) -> Process:
    """`python -m loadtest`, started."""
    command = [sys.executable, "-m", "loadtest", *map(str, words)]
    process = Process("loadtest", command, folder / "loadtest.log", environment=settings, folder=ROOT)
    process.start()
    return process


def printed(folder: Path, code: int, *words: object, **settings: str) -> str:
    """What `python -m loadtest` prints; it has to end with `code`."""
    process = loadtest(folder, *words, **settings)
    try:
        assert process.wait_end(90) == code, process.log_text()
    finally:
        process.kill()
    return process.log_text()


def refused(workload: Path, folder: Path, services: str) -> str:
    """What `python -m loadtest run` prints where it does not run against `services`, a fixed list; it has to end with 2."""
    return printed(folder, 2, "run", workload, KILLRVIDEO_DISCOVERY="static", KILLRVIDEO_STATIC_SERVICES=services)


def summary(folder: Path) -> Any:
    """The figures of a report."""
    return json.loads((folder / "summary.json").read_text())


class TestARun:
    @pytest.mark.processes
    def test_every_call_is_counted_and_the_report_stands_by_itself(
        self,
        workload: Path,
        videos: list[str],
        services: dict[str, ServiceProcess],
        environment: dict[str, str],
        tmp_path: Path,
    ) -> None:
        report = tmp_path / "report"
        output = printed(tmp_path, 0, "run", workload, "--report", report, **environment)
        figures = summary(report)
        assert f"{figures['calls']:,} calls in {figures['visits']:,} visits, 0 failed" in output
        assert figures["valid"]
        assert figures["outcomes"] == {"OK": figures["calls"]}
        assert 60 < figures["visits"] < 200, "two seconds at 20 a second and two at 40"
        assert figures["calls"] > figures["visits"]
        assert [step["do"] for step in figures["steps"]] == ["rate 40"]
        assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"] <= figures["latency_ms"]["max"]
        raw = json.loads((report / "histograms.json").read_text())
        counts = {name: decode(text).get_total_count() for name, text in raw["methods"].items()}
        assert counts == {name: call["calls"] for name, call in figures["methods"].items()}
        page = (report / "report.html").read_text()
        assert not re.search(r"<(script|link|img)|(src|href)=", page), "nothing that another file would have to bring"
        assert page.count("<svg") == 5

    @pytest.mark.processes
    def test_ctrl_c_ends_it_with_a_report_of_what_was_done(
        self,
        wire: Wire,
        videos: list[str],
        services: dict[str, ServiceProcess],
        environment: dict[str, str],
        tmp_path: Path,
    ) -> None:
        endless = tmp_path / "endless.toml"
        endless.write_text(WORKLOAD.replace("seconds = 4", "seconds = 600"))
        process = loadtest(tmp_path, "run", endless, "--report", tmp_path / "report", **environment)
        try:
            ids = [u(video_id) for video_id in videos]
            eventually(
                lambda: any(plays.views for plays in wire.GetNumberOfPlays(video_ids=ids).stats),
                60,
                "a video is watched",
            )
            process.send(signal.SIGINT)
            assert process.wait_end(20) == 0, process.log_text()
        finally:
            process.kill()
        figures = summary(tmp_path / "report")
        assert figures["interrupted"]
        assert figures["seconds"] < 60
        assert figures["calls"] > 0
        assert figures["failed"] == 0

    @pytest.mark.processes
    def test_services_on_other_machines_are_refused(self, workload: Path, tmp_path: Path) -> None:
        output = refused(workload, tmp_path, "CommentsService=192.0.2.1:8101")
        assert (
            "CommentsService is at 192.0.2.1:8101, which is not this machine; --beyond-loopback allows that" in output
        )

    @pytest.mark.processes
    @pytest.mark.parametrize("address", ["videos.example.org:8101", "[2001:db8::1]:8101"])
    def test_a_host_name_or_an_ipv6_address_elsewhere_is_refused_too(
        self, address: str, workload: Path, tmp_path: Path
    ) -> None:
        output = refused(workload, tmp_path, f"CommentsService={address}")
        assert f"CommentsService is at {address}, which is not this machine" in output
        assert "Traceback" not in output

    @pytest.mark.processes
    @pytest.mark.parametrize("host", ["localhost", "[::1]"])
    def test_services_on_this_machine_that_do_not_answer_are_reported(
        self, host: str, workload: Path, tmp_path: Path
    ) -> None:
        output = refused(workload, tmp_path, f"UserManagementService={host}:{free_port()}")
        assert "loadtest: the services do not answer (UNAVAILABLE: " in output
        assert "is the system running? `make status` shows it" in output
        assert "Traceback" not in output

    @pytest.mark.processes
    def test_a_registry_that_does_not_answer_is_reported(self, workload: Path, tmp_path: Path) -> None:
        output = printed(tmp_path, 2, "run", workload, KILLRVIDEO_ETCD=f"127.0.0.1:{free_port()}")
        assert "loadtest: waiting for the registry" in output
        assert "loadtest: the registry does not answer: is the system running? `make status` shows it" in output
        assert "Traceback" not in output


class TestFailedCalls:
    def test_calls_that_failed_while_cassandra_was_stopped_are_counted_apart(self) -> None:
        result = Result(load("scaling"), started=0.0)
        result.steps.append(StepRecord(10.0, 15.0, "stop-cassandra 5", "done"))
        for number, failed in ((9, 2), (14, 3), (19, 4), (30, 1)):
            outcomes = Counter({"OK": 5, "UNAVAILABLE": failed})
            result.seconds.append(Second(number, outcomes=outcomes))
            result.outcomes.setdefault("GetVideo", Counter()).update(outcomes)
        assert (result.failed, result.failed_without_cassandra) == (10, 7)


class TestWorkloads:
    @pytest.mark.parametrize("name", sorted(file.stem for file in PRESETS.glob("*.toml")))
    def test_a_preset_is_bounded_and_named_like_its_file(self, name: str) -> None:
        workload = load(name, rate=5.0)
        assert (workload.name, workload.rate) == (name, 5.0)
        assert workload.seconds <= 180

    def test_an_unknown_name_is_answered_with_the_list(self) -> None:
        with pytest.raises(WorkloadError, match=r"no workload 'brows': .*browse, hot-video, scaling"):
            load("brows")

    @pytest.mark.parametrize(
        ("wrong", "right", "message"),
        [
            ("home = 2", "hme = 2", "no such action in \\[mix\\]: hme"),
            ('do = "rate 40"', 'do = "rat 40"', "no such step: 'rat'"),
            ('do = "rate 40"', 'do = "rate many"', "'rate' takes a number, not 'many'"),
            ("seconds = 4", "seconds = 4000", "less than or equal to 3600"),
            ("rate = 20", "rate = 900000", "more than 2,000,000 calls"),
            ("[mix]", "[mix", "small.toml"),
        ],
    )
    def test_a_mistake_in_the_file_is_named(self, workload: Path, wrong: str, right: str, message: str) -> None:
        workload.write_text(WORKLOAD.replace(wrong, right, 1))
        with pytest.raises(WorkloadError, match=message):
            load(str(workload))


class TestCompare:
    @pytest.mark.processes
    def test_a_change_is_distinguished_from_noise(self, tmp_path: Path) -> None:
        files = []
        for name, p50, p99 in (("before", 10.0, 20.0), ("after", 15.0, 21.0)):
            latency = {"p50": p50, "p99": p99, "p99.9": 30.0, "max": 40.0}
            figures = {"valid": True, "problems": [], "failed": 0, "methods": {"GetVideo": {"latency_ms": latency}}}
            files.append(tmp_path / f"{name}.json")
            files[-1].write_text(json.dumps(figures))
        output = printed(tmp_path, 0, "compare", *files)
        rows = [re.split(r"[│\s]+", line.strip("│ ")) for line in output.splitlines() if "│" in line]
        assert ["GetVideo", "p50", "10.0", "15.0", "+50%"] in rows
        assert ["p99", "20.0", "21.0", "noise"] in rows
        assert "cannot tell a change from noise" in output

    @pytest.mark.processes
    def test_a_missing_report_is_named(self, tmp_path: Path) -> None:
        assert "nowhere.json" in printed(tmp_path, 2, "compare", tmp_path / "nowhere.json", tmp_path / "nowhere.json")
