"""The services under supervisord: what it bears, and what ends it."""

import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from infra import supervision
from infra.layout import PYTHON, ROOT
from infra.processes import Process, wait_until
from infra.supervision import Supervisor, base_ports, write_configuration
from infra.supervisord_conf import MAX_INSTANCES
from tests.infra.test_commands import free_offset

SLUGS = sorted(base_ports())


class Supervisord(Process):
    """A supervisord on ports and a socket of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.configuration = folder / "supervisord.conf"
        write_configuration(self.configuration, free_offset())
        super().__init__(
            "supervisord",
            [str(PYTHON), "-m", "supervisor.supervisord", "-c", str(self.configuration)],
            folder / "supervisord.log",
            environment={
                "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
                "KILLRVIDEO_ETCD": "127.0.0.1:1",
                **environment,
            },
            folder=ROOT,
            stop_seconds=30,
            orphan_signal="TERM",
        )


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A socket of the test's own, short enough for a socket's path."""
    path = Path(f"/tmp/killrvideo-test-{os.getpid()}.sock")
    monkeypatch.setattr(supervision, "SOCKET", path)
    yield path
    path.unlink(missing_ok=True)


def test_a_folder_with_a_percent_sign_and_spaces_does_not_confuse_it(tmp_path: Path) -> None:
    configuration = tmp_path / "100%d of it" / "supervisord.conf"
    write_configuration(configuration, 0)
    options = ServerOptions()
    options.realize(["-n", "-c", str(configuration)])
    assert options.pidfile == str(configuration.with_name("supervisord.pid"))


@pytest.mark.processes
def test_absent_databases_never_end_it_and_all_services_drain_side_by_side(tmp_path: Path, socket: Path) -> None:
    with Supervisord(tmp_path) as supervisord:
        supervisor = Supervisor(socket)
        wait_until(supervisor.answers, 300, "supervisord's socket")
        wait_until(
            lambda: [slot.state for slot in supervisor.slots()].count("RUNNING") == len(SLUGS),
            300,
            "one instance of each service that stays up",
        )
        slots = supervisor.slots()
        assert [slot.name for slot in slots if slot.up] == [f"{slug}-1" for slug in SLUGS]
        assert len(slots) == len(SLUGS) * MAX_INSTANCES
        wait_until(lambda: supervisord.log_text().count("waiting for") >= len(SLUGS), 300, "services that wait")
        supervisord.terminate()
        assert supervisord.wait_end(60) == 0
        # One after the other they would take at least a second each, because supervisord looks once a second who has ended.
        stopped = re.findall(
            r"^(.{19}),\d+ INFO stopped: (\S+) \(exit status 0\)", supervisord.log_text(), re.MULTILINE
        )
        assert sorted(name for _, name in stopped) == [f"{slug}-1" for slug in SLUGS]
        times = [datetime.fromisoformat(timestamp) for timestamp, _ in stopped]
        assert max(times) - min(times) < timedelta(seconds=len(SLUGS) - 2)


@pytest.mark.processes
def test_a_true_crash_loop_ends_it_with_1_and_says_which_instance(tmp_path: Path, socket: Path) -> None:
    supervisord = Supervisord(tmp_path, KILLRVIDEO_TTL="nonsense")
    supervisord.start()
    try:
        assert supervisord.wait_end(400) == 1
    finally:
        supervisord.kill()
    log = supervisord.log_text()
    # Which of the two it is depends on how long the machine takes to come to the point.
    assert "ends again and again right after its start" in log or "crashed 4 times" in log
    assert "| wrong setting KILLRVIDEO_TTL='nonsense'" in log


@pytest.mark.processes
def test_services_stop_in_order_when_their_supervisord_is_killed(tmp_path: Path, socket: Path) -> None:
    with Supervisord(tmp_path) as supervisord:
        supervisor = Supervisor(socket)
        wait_until(supervisor.answers, 300, "supervisord's socket")
        wait_until(lambda: supervisord.log_text().count("waiting for") >= len(SLUGS), 300, "services that wait")
        pids = [slot.pid for slot in supervisor.slots() if slot.up]
        supervisord.send(signal.SIGKILL)
        supervisord.wait_end(5)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 60, "the end of the services")
