"""The set-up and the mistakes of newcomers: each gets one clear sentence and a non-zero exit, before anything is started."""

import errno
import fcntl
import importlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

import infra
from infra import setup
from infra.errors import InfraError, Stopped
from infra.etcd import Etcd
from infra.jars import jars_are_whole
from infra.layout import CASSANDRA_JARS, LAYOUT, ROOT, VENV
from infra.local import in_a_sentence, require_space
from infra.lock import holder, running
from infra.ports import free_port, require_free
from infra.processes import Process, wait_until
from infra.steps import run_step


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A .local/ of the test's own, with the virtual environment and the jars of this checkout."""
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "version").write_text(f"{LAYOUT}\n")
    (folder / "venv").symlink_to(VENV)
    (folder / CASSANDRA_JARS.parent.name).symlink_to(CASSANDRA_JARS.parent)
    return folder


def refused(command: str, local: Path, **environment: str) -> tuple[int, str]:
    """Exit code of a command that must fail, and what it printed, which is no trace."""
    done = subprocess.run(
        [sys.executable, "-m", "infra", command],
        cwd=ROOT,
        env={**os.environ, "KILLRVIDEO_LOCAL": str(local), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in text
    return done.returncode, text


def with_java(folder: Path, version: str) -> str:
    """A PATH whose java says that it is of `version`."""
    folder.mkdir()
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.processes
def test_without_java_it_is_named_with_the_package_to_install(local: Path) -> None:
    _, text = refused("run", local, JAVA_HOME="/nowhere")
    assert "there is no Java in JAVA_HOME (/nowhere)" in text
    assert "openjdk-17" in text


@pytest.mark.processes
@pytest.mark.parametrize(
    ("version", "said"),
    [("1.8.0_412", "Java 8, too old"), ("11.0.2", "Java 11, too old"), ("21.0.3", "Java 21, too new")],
)
def test_another_java_is_told_from_the_one_that_is_needed(local: Path, tmp_path: Path, version: str, said: str) -> None:
    _, text = refused("run", local, PATH=with_java(tmp_path / "bin", version), JAVA_HOME="")
    assert said in text


@pytest.mark.processes
def test_a_java_that_is_no_program_is_named(local: Path, tmp_path: Path) -> None:
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_bytes(b"\0 not a program")
    for mode in (0o644, 0o755):
        java.chmod(mode)
        _, text = refused("run", local, JAVA_HOME=str(tmp_path / "jdk"))
        assert f"{java} is no Java that runs" in text


def test_an_older_python_is_told_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed, and this is 3\.9"):
        importlib.reload(infra)


@pytest.mark.processes
def test_without_maven_it_is_named_before_anything_else_is_set_up(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("java", "setpriv"):
        (programs / name).symlink_to(shutil.which(name) or name)
    _, text = refused("setup", tmp_path / "local", PATH=str(programs))
    assert "Maven is not installed" in text
    assert not (tmp_path / "local" / "venv").exists()


@pytest.mark.processes
def test_a_taken_port_is_named_with_the_setting_that_moves_it(local: Path, etcd: Etcd) -> None:
    _, text = refused("run", local, KILLRVIDEO_ETCD_PORT=str(etcd.port))
    assert f"port {etcd.port} for etcd" in text
    assert "KILLRVIDEO_ETCD_PORT" in text


@pytest.mark.processes
def test_a_port_that_is_wanted_twice_is_named_with_both(local: Path) -> None:
    port = str(free_port())
    _, text = refused("run", local, KILLRVIDEO_ETCD_PORT=port, KILLRVIDEO_CASSANDRA_PORT=port)
    assert f"port {port} is given to etcd and to Cassandra" in text
    assert "KILLRVIDEO_CASSANDRA_PORT" in text


def test_an_address_that_is_not_this_machines_is_not_called_taken() -> None:
    with pytest.raises(InfraError, match=r"comments cannot listen on 192\.0\.2\.1: .*KILLRVIDEO_LISTEN_HOST"):
        require_free(free_port(), "comments", "KILLRVIDEO_PORT_OFFSET", "192.0.2.1")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("KILLRVIDEO_CASSANDRA_HEAP", "lots", "is not a whole number"),
        ("KILLRVIDEO_TTL", "0", "must be at least 1"),
        ("KILLRVIDEO_PORT_OFFSET", "150", "multiple of 100"),
        ("KILLRVIDEO_DISCOVERY", "dns", "'etcd-v3'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    local: Path, name: str, value: str, allowed: str
) -> None:
    code, text = refused("run", local, **{name: value})
    assert code == 2
    assert f"{name}='{value}'" in text
    assert allowed in text


def test_a_checkout_that_was_moved_installs_its_library_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert setup.environment_is_ready()
    moved = tmp_path / "discovery"
    moved.mkdir()
    shutil.copy(setup.LIBRARY / "pyproject.toml", moved)
    monkeypatch.setattr(setup, "LIBRARY", moved)
    assert not setup.environment_is_ready()


@pytest.mark.processes
def test_what_another_version_left_is_not_touched(local: Path) -> None:
    (local / "version").write_text("0\n")
    _, text = refused("run", local)
    assert "another version" in text
    assert "make clean" in text
    assert (local / "venv").exists()


@pytest.mark.processes
def test_clean_removes_what_another_version_left_and_nothing_that_is_not_ours(local: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").touch()
    _, text = refused("clean", photos)
    assert "was not made by this project" in text
    assert (photos / "cat.jpg").exists()
    (local / "version").write_text("0\n")
    command = [sys.executable, "-m", "infra", "clean"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "KILLRVIDEO_LOCAL": str(local)}, check=True)
    assert not local.exists()
    assert VENV.exists()  # what the folder linked to


@pytest.mark.processes
def test_clean_waits_for_no_set_up_but_refuses(local: Path) -> None:
    with (local / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _, text = refused("clean", local)
    assert "a set-up is under way" in text
    assert (local / "version").exists()


def test_a_folder_of_another_user_is_told_in_a_sentence(tmp_path: Path) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "setup.lock"))
    assert f"{tmp_path}/setup.lock: Permission denied" in (in_a_sentence(error) or "")
    assert in_a_sentence(OSError(errno.EBADF, "Bad file descriptor")) is None


def test_one_runs_at_a_time_and_those_who_look_do_not_disturb_each_other(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert holder(lock) is None
    with running(lock):
        assert holder(lock) == os.getpid()
        with pytest.raises(InfraError, match=rf"runs already \(process {os.getpid()}\)"), running(lock):
            pass
    assert holder(lock) is None


@pytest.mark.processes
def test_a_process_whose_start_is_interrupted_is_still_ours_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process("sleeper", ["sleep", "60"], tmp_path / "log")
    spawn, interrupted = process._spawn, threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        interrupted.set()
        raise Stopped

    def spawn_late() -> "subprocess.Popen[bytes]":
        interrupted.wait(30)
        return spawn()

    monkeypatch.setattr(process, "_spawn", spawn_late)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Stopped):
            process.start()
        assert process.alive
    finally:
        signal.signal(signal.SIGALRM, before)
        process.kill()


@pytest.mark.processes
def test_a_reader_that_goes_away_ends_a_command_without_a_trace(local: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -m infra setup | true; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env={**os.environ, "KILLRVIDEO_LOCAL": str(local)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""


@pytest.mark.processes
def test_to_say_that_nothing_runs_nothing_is_set_up(tmp_path: Path) -> None:
    for command in ("stop", "status", "logs"):
        _, text = refused(command, tmp_path / "local")
        assert "nothing is set up here, so nothing runs" in text
    assert not (tmp_path / "local").exists()


@pytest.mark.processes
def test_commands_that_need_what_runs_say_that_nothing_runs(local: Path) -> None:
    for command in ("status", "scale", "rolling-restart"):
        _, text = refused(command, local)
        assert "does not run" in text or "is none of" in text


def test_a_jar_that_is_missing_or_cut_makes_the_jars_be_fetched_anew(tmp_path: Path) -> None:
    home = tmp_path / "cassandra"
    shutil.copytree(CASSANDRA_JARS.parent, home)
    assert jars_are_whole(home)
    jar = next((home / "jars").glob("guava*"))
    jar.write_bytes(jar.read_bytes()[:1000])
    assert not jars_are_whole(home)
    (home / "complete").unlink()
    assert not jars_are_whole(home)


def test_a_disk_without_room_is_told_before_the_set_up_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10_000_000_000, 9_700_000_000, 300_000_000))
    with pytest.raises(InfraError, match="only 300 MB are free"):
        require_space(1200)


@pytest.mark.processes
def test_a_step_that_fills_the_disk_says_so(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"the disk of .* is full"):
        run_step(["sh", "-c", "echo 'write error: No space left on device'; exit 1"], "the step failed")


@pytest.mark.processes
def test_a_step_without_a_network_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    said = "WARNING: Retrying (Retry(total=4)) after connection broken"
    with pytest.raises(InfraError, match="the step failed, because the network did not answer:"):
        run_step(["sh", "-c", f"echo '{said}'; echo '{said}'; exit 1"], "the step failed")
    assert capsys.readouterr().out.count("the network does not answer; trying again") == 1


@pytest.mark.processes
def test_what_maven_says_of_debugging_maven_is_left_out() -> None:
    said = ["[ERROR] no such jar", "[ERROR] ", "[ERROR] Re-run Maven using the -X switch", "[ERROR] [Help 1] a page"]
    with pytest.raises(InfraError) as refusal:
        run_step(["sh", "-c", "printf '%s\\n' \"$@\"; exit 1", "sh", *said], "Maven failed")
    assert str(refusal.value) == "Maven failed:\n[ERROR] no such jar"


@pytest.mark.processes
def test_ctrl_c_in_the_middle_of_the_set_up_ends_it_and_all_that_it_began(tmp_path: Path) -> None:
    environment = {"KILLRVIDEO_LOCAL": str(tmp_path / "local")}
    process = Process(
        "setup", [sys.executable, "-m", "infra", "setup"], tmp_path / "log", environment=environment, folder=ROOT
    )
    process.start()
    try:
        wait_until(lambda: "Python packages: 1 of" in process.log_text(), 120, "the first package")
        process.send(signal.SIGINT)
        assert process.wait_end(20) == 130
    finally:
        process.kill()
    assert "Traceback" not in process.log_text()
    assert not (tmp_path / "local" / "venv" / "complete").exists()
    wait_until(lambda: not processes_of(tmp_path), 5, "the end of all that it began")


def processes_of(folder: Path) -> list[str]:
    """Command lines that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found
