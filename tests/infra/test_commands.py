"""`make run` and its companions, on a machine of the test's own: ports moved, a .local/ of its own, real processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.layout import CASSANDRA_JARS, LAYOUT, ROOT, VENV
from infra.lock import environment_of
from infra.ports import free_port, is_free
from infra.processes import Process, wait_until
from infra.supervision import base_ports
from tests.processes import advertised

pytestmark = pytest.mark.processes

SLUGS = sorted(base_ports())


class Machine:
    """A machine: its environment, its commands, and `make run` as a process."""

    def __init__(self, folder: Path) -> None:
        self.local = folder / "local"
        self.local.mkdir()
        (self.local / "version").write_text(f"{LAYOUT}\n")
        (self.local / "venv").symlink_to(VENV)
        (self.local / CASSANDRA_JARS.parent.name).symlink_to(CASSANDRA_JARS.parent)
        self.offset = free_offset()
        self.etcd = f"127.0.0.1:{free_port()}"
        self.environment = {
            "KILLRVIDEO_LOCAL": str(self.local),
            "KILLRVIDEO_ETCD_PORT": self.etcd.rpartition(":")[2],
            "KILLRVIDEO_ETCD_PEER_PORT": str(free_port()),
            "KILLRVIDEO_CASSANDRA_PORT": str(free_port()),
            "KILLRVIDEO_CASSANDRA_STORAGE_PORT": str(free_port()),
            "KILLRVIDEO_CASSANDRA_HEAP": "512",
            "KILLRVIDEO_PORT_OFFSET": str(self.offset),
        }
        command = [sys.executable, "-m", "infra", "run"]
        self.run = Process(
            "make run", command, folder / "run.log", environment=self.environment, folder=ROOT, stop_seconds=30
        )

    def command(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Exit code and output of a command, with `settings` instead of this machine's."""
        done = subprocess.run(
            [sys.executable, "-m", "infra", *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    def pids(self, slug: str) -> dict[int, int]:
        """Port -> process id of the instances of a service."""
        return {int(entry["KILLRVIDEO_LISTEN_PORT"]): pid for pid, entry in self._services(f"services.{slug}").items()}

    def processes(self) -> list[str]:
        """The command line of everything that has this machine's settings, but for the tests themselves."""
        return [
            line
            for pid, line, settings in _all_processes()
            if settings.get("KILLRVIDEO_LOCAL") == str(self.local) and pid != os.getpid()
        ]

    def _services(self, module: str) -> dict[int, dict[str, str]]:
        return {
            pid: settings
            for pid, line, settings in _all_processes()
            if settings.get("KILLRVIDEO_LOCAL") == str(self.local) and line.endswith(f"-m {module}")
        }


def _all_processes() -> Iterator[tuple[int, str, dict[str, str]]]:
    """Process id, command line and environment of every process that can be looked at."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            settings = environment_of(folder)
        except OSError:
            continue
        if line:
            yield int(folder.name), line, settings


def free_offset() -> int:
    """An offset at which the first ten instances of every service find their ports free."""
    for offset in range(1000, 6000, 1000):
        if all(is_free(port + number) for port in base_ports(offset).values() for number in range(1, 10)):
            return offset
    raise AssertionError("no free range of ports for the services")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which `make run` runs and everything serves, with the sample data in it."""
    one = Machine(tmp_path_factory.mktemp("machine"))
    one.run.start()
    try:
        wait_until(
            lambda: "Ctrl-C (or `make stop`) stops everything" in one.run.log_text() or not one.run.alive,
            400,
            "the table",
        )
        assert one.run.alive, one.run.log_text()
        yield one
    finally:
        one.run.stop()


def test_the_table_names_every_service_with_its_address_its_key_and_its_health(machine: Machine) -> None:
    text = machine.run.log_text()
    for slug, port in base_ports(machine.offset).items():
        row = next(line for line in text.splitlines() if line.startswith(f"{slug} "))
        assert f"127.0.0.1:{port + 1}" in row
        assert "/killrvideo/services/" in row
        assert row.endswith("serving")


def test_status_is_0_while_all_seven_serve_and_a_second_run_is_refused(machine: Machine) -> None:
    code, text = machine.command("status")
    assert code == 0, text
    code, text = machine.command("run")
    assert code != 0
    assert f"runs already (process {machine.run.pid})" in text


def test_commands_with_other_settings_than_those_of_the_start_say_so_and_look_at_what_runs(machine: Machine) -> None:
    other = {"KILLRVIDEO_ETCD_PORT": str(free_port()), "KILLRVIDEO_PORT_OFFSET": ""}
    code, text = machine.command("status", **other)
    assert code == 0, text
    started_with = f"KILLRVIDEO_ETCD_PORT={machine.etcd.rpartition(':')[2]}, KILLRVIDEO_PORT_OFFSET={machine.offset}"
    assert f"process {machine.run.pid} was started with {started_with}, other than this command" in text
    code, text = machine.command("scale", "SERVICE=comments", "N=1", **other)
    assert code == 0, text


def test_a_name_in_small_letters_is_not_ignored(machine: Machine) -> None:
    done = subprocess.run(
        ["make", f"PYTHON={sys.executable}", "scale", "service=comments", "N=2"],
        cwd=ROOT,
        env={**os.environ, **machine.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "scale: `service=comments` is not understood: write it in capitals, `SERVICE=comments`" in done.stderr


def test_scaling_starts_and_stops_by_name_and_leaves_the_others_their_process_ids(machine: Machine) -> None:
    before = {slug: machine.pids(slug) for slug in SLUGS}
    code, text = machine.command("scale", "SERVICE=comments", "N=3")
    assert code == 0, text
    more = machine.pids("comments")
    first = base_ports(machine.offset)["comments"] + 1
    assert sorted(more) == [first, first + 1, first + 2]
    assert len(advertised(machine.etcd, "CommentsService")) == 3
    code, text = machine.command("scale", "SERVICE=comments", "N=1")
    assert code == 0, text
    assert {slug: machine.pids(slug) for slug in SLUGS} == before
    assert list(advertised(machine.etcd, "CommentsService")) == [f"127.0.0.1:{first}"]


def test_without_an_instance_of_one_service_status_is_not_0_and_names_it(machine: Machine) -> None:
    assert machine.command("scale", "SERVICE=statistics", "N=0")[0] == 0
    code, text = machine.command("status")
    assert code != 0
    assert "not serving: statistics" in text
    assert machine.command("scale", "SERVICE=statistics", "N=1")[0] == 0
    assert machine.command("status")[0] == 0


@pytest.mark.parametrize(("service", "number"), [("comments", "100"), ("comments", "many"), ("nothing", "1")])
def test_what_cannot_be_scaled_is_refused(machine: Machine, service: str, number: str) -> None:
    assert machine.command("scale", f"SERVICE={service}", f"N={number}")[0] != 0


def test_a_rolling_restart_gives_each_instance_a_new_process_and_never_leaves_the_service_without_one(
    machine: Machine,
) -> None:
    before = machine.pids("ratings")
    restart = Process(
        "restart",
        [sys.executable, "-m", "infra", "rolling-restart", "SERVICE=ratings"],
        machine.local / "restart.log",
        environment=machine.environment,
        folder=ROOT,
    )
    restart.start()
    fewest = 9
    while restart.alive:
        fewest = min(fewest, len(advertised(machine.etcd, "RatingsService")))
    assert restart.exit_code == 0, restart.log_text()
    assert fewest >= 1
    after = machine.pids("ratings")
    assert after.keys() == before.keys()
    assert after != before


def test_a_killed_instance_is_told_and_started_anew(machine: Machine) -> None:
    (port, pid), *_ = machine.pids("search").items()
    begun = len(machine.run.log_text())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: f"search 127.0.0.1:{port}" in machine.run.log_text()[begun:], 20, "the line that tells it")
    wait_until(
        lambda: machine.pids("search").get(port, pid) != pid and machine.command("status")[0] == 0, 60, "its return"
    )


def test_logs_shows_the_lines_of_one_service_with_its_instance(machine: Machine) -> None:
    code, text = machine.command("logs", "SERVICE=video_catalog")
    assert code == 0
    assert text
    assert all(line.startswith("video_catalog-") for line in text.splitlines())


def test_ctrl_c_stops_everything_in_order_within_20_seconds_and_the_next_start_finds_the_data(machine: Machine) -> None:
    machine.run.send(signal.SIGINT)
    machine.run.send(signal.SIGINT)  # an impatient person
    assert machine.run.wait_end(20) == 0
    wait_until(lambda: not machine.processes(), 1, f"the end of {machine.processes()}")
    code, text = machine.command("start")
    assert code == 0, text
    assert "loading the sample data" not in text
    shutil.rmtree(machine.local / "run")  # as a person who tidies up does
    for command in ("start", "run", "clean"):
        code, text = machine.command(command)
        assert code != 0
        assert "KillrVideo runs" in text
    assert machine.command("status")[0] == 0
    assert machine.command("stop")[0] == 0
    wait_until(lambda: not machine.processes(), 1, f"the end of {machine.processes()}")


def test_nothing_is_left_when_run_is_killed(tmp_path: Path) -> None:
    one = Machine(tmp_path)
    one.run.start()
    try:
        wait_until(lambda: any("services.comments" in line for line in one.processes()), 60, "the first service")
    finally:
        one.run.kill()
    wait_until(lambda: not one.processes(), 20, "the end of all that it began")


def test_a_cassandra_where_nothing_listens_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    one = Machine(tmp_path)
    nowhere = f"127.0.0.1:{free_port()}"
    one.run.environment["KILLRVIDEO_CASSANDRA_ADVERTISED"] = nowhere
    one.run.start()
    try:
        # Services may come to it one after the other; once all have, they have one reason together.
        all_wait = re.compile(
            rf"^waiting for {', '.join(SLUGS)}, which are waiting for Cassandra: no connection to {nowhere}: .* \(\d+ s\)$",
            re.MULTILINE,
        )
        wait_until(lambda: bool(all_wait.search(one.run.log_text())), 200, "what is waited for, and why")
        assert len(one.run.log_text().splitlines()) < 15
    finally:
        one.run.stop()
    wait_until(lambda: not one.processes(), 20, "the end of all that it began")
