"""The launchers of etcd and Cassandra: what is started serves, can be hurt on purpose, and is gone afterwards."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from infra.cassandra import Cassandra
from infra.cql_probe import Login, answers
from infra.errors import InfraError
from infra.etcd import Etcd, etcd_cluster
from infra.layout import ROOT
from infra.ports import free_port, is_free, require_free
from infra.processes import Process, wait_until

pytestmark = pytest.mark.processes


def put(etcd: Etcd, key: str, value: str) -> None:
    request = urllib.request.Request(f"{etcd.url}/v2/keys/{key}", f"value={value}".encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=5):
        pass


def was_put(etcd: Etcd, key: str, value: str) -> bool:
    """False while there is no leader: etcd then keeps a write waiting, up to its own limit of some seconds."""
    try:
        put(etcd, key, value)
    except OSError:
        return False
    return True


def get(etcd: Etcd, key: str) -> str:
    with urllib.request.urlopen(f"{etcd.url}/v2/keys/{key}", timeout=5) as answer:
        return str(json.load(answer)["node"]["value"])


def test_etcd_keeps_its_keys_over_a_restart_and_forgets_them_when_wiped(tmp_path: Path) -> None:
    with Etcd(tmp_path, free_port()) as etcd:
        put(etcd, "colour", "green")
        etcd.restart()
        etcd.wait_ready()
        assert get(etcd, "colour") == "green"
        etcd.stop()
        etcd.wipe()
        etcd.start()
        etcd.wait_ready()
        with pytest.raises(urllib.error.HTTPError):
            get(etcd, "colour")


def test_three_etcd_members_are_one_and_outlive_the_loss_of_one(tmp_path: Path) -> None:
    with etcd_cluster(tmp_path, 3) as (first, second, third):
        put(first, "colour", "green")
        third.kill()
        wait_until(lambda: was_put(second, "colour", "blue"), 30, "a leader among the other two, if it was the third")
        wait_until(lambda: get(first, "colour") == "blue", 5, "the value on the first member")


def test_a_paused_etcd_is_not_ready_and_goes_on_when_resumed(tmp_path: Path) -> None:
    with Etcd(tmp_path, free_port()) as etcd:
        etcd.pause()
        assert not etcd.is_ready()
        etcd.resume()
        etcd.wait_ready(10)


def test_a_process_that_ends_instead_of_serving_is_shown_with_its_log(tmp_path: Path) -> None:
    quitter = Process(
        "quitter", [sys.executable, "-c", "raise SystemExit('the disk is upside down')"], tmp_path / "log"
    )
    quitter.is_ready = lambda: False  # type: ignore[method-assign]
    with pytest.raises(InfraError, match=r"quitter ended with 1 instead of serving[\s\S]*the disk is upside down"):
        quitter.__enter__()


def test_a_process_that_ignores_the_request_to_end_is_killed_in_its_time(tmp_path: Path) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    process = Process("deaf", [sys.executable, "-c", ignoring], tmp_path / "log", stop_seconds=0.3)
    process.start()
    wait_until(lambda: "up" in process.log_text(), 10, "its first line")
    process.stop()
    assert process.exit_code == -signal.SIGKILL


def test_nothing_is_left_when_the_starter_is_killed(tmp_path: Path) -> None:
    starter = f"""
import os, signal
from pathlib import Path
from infra.etcd import Etcd
etcd = Etcd(Path({str(tmp_path)!r}), {free_port()})
etcd.__enter__()
print(etcd.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", starter], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    pid = int(done.stdout)

    def gone() -> bool:
        try:
            return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return True

    wait_until(gone, 5, f"the end of etcd, process {pid}")


def test_a_free_port_is_free_and_a_taken_one_is_named_with_its_setting(etcd: Etcd) -> None:
    assert is_free(free_port())
    with pytest.raises(InfraError, match=rf"port {etcd.port} for etcd .*KILLRVIDEO_ETCD_PORT"):
        require_free(etcd.port, "etcd", "KILLRVIDEO_ETCD_PORT")


def test_cassandra_answers_a_query_and_a_stopped_port_does_not(bare_cassandra: Cassandra) -> None:
    assert answers(bare_cassandra.host, bare_cassandra.port)
    assert not answers("127.0.0.1", free_port())


def test_cassandra_with_a_login_answers_nobody_else_also_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    login = Login("cassandra", "cassandra")
    folder = tmp_path / '100%d of é, "it" & more'
    with Cassandra(folder, free_port(), login=login) as node:
        assert answers(node.host, node.port, login=login)
        assert (folder / "system.log").exists()
        assert not answers(node.host, node.port)
        assert not answers(node.host, node.port, login=Login("cassandra", "wrong"))
