"""`advertise`: an entry for a program that knows nothing of it."""

import asyncio
import signal
from pathlib import Path

import pytest

from discovery.tests.cli.commands import begin, mistaken, run
from discovery.tests.etcds import KINDS, V2, Kind
from discovery.tests.waiting import eventually
from infra.etcd import Etcd
from infra.ports import free_port

WEB = "10.0.75.1:3000"


@pytest.mark.processes
@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.discovery)
async def test_an_entry_is_kept_until_sigterm_and_then_withdrawn(etcd: Etcd, kind: Kind) -> None:
    given = ("--etcd", etcd.address, "--discovery", kind.discovery, "--root", "/kept")
    process = await begin("advertise", "web", WEB, "--instance", "slot", *given, DISCOVERY_WITHDRAW_WAIT="0")
    await eventually(lambda: kind.holds(etcd.address, "/kept/web/slot"), 10, "the entry")
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    assert process.returncode == 0, err
    assert f"advertised as web/slot at {WEB}" in err.decode()
    assert not kind.holds(etcd.address, "/kept/web")


@pytest.mark.processes
async def test_while_a_command_runs_and_with_its_exit_code(etcd: Etcd) -> None:
    here = f"until curl -sf http://{etcd.address}/v2/keys/services/web; do :; done; exit 7"
    done = await run("advertise", "web", WEB, "--etcd", etcd.address, "--while", "/bin/sh", "-c", here)
    assert done.code == 7, done.err
    assert f'"value":"{WEB}"' in done.out
    assert not V2.holds(etcd.address, "/services/web")
    assert (await run("advertise", "web", WEB, "--etcd", etcd.address, "--while", "/no/such")).code == 127


@pytest.mark.processes
async def test_it_says_what_it_waits_for(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    for settings, says in (
        ({}, f"waiting for etcd at {nowhere}: "),
        ({"DISCOVERY_DISCOVERY": "etcd-v3"}, f"not advertised yet: web/{WEB}: "),
        ({"DISCOVERY_ETCD_CA": str(wrong)}, f"the TLS files for etcd cannot be used ({wrong}): "),
    ):
        process = await begin(
            "advertise", "web", WEB, DISCOVERY_ETCD=nowhere, DISCOVERY_LOGGING_LEVEL="error", **settings
        )
        assert process.stderr
        async with asyncio.timeout(10):
            while says not in (await process.stderr.readline()).decode():
                assert process.returncode is None
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


MISTAKES = [
    ("nowhere", {}, "the address is not host:port: 'nowhere'"),
    ("0.0.0.0:80", {}, "the address cannot be dialled: '0.0.0.0:80'"),
    ("h:1 --instance a/b", {}, "the instance is no name of an instance "),
    ("h:1 --while", {}, "--while needs a command"),
    ("h:1", {"DISCOVERY_DISCOVERY": "static"}, "DISCOVERY_DISCOVERY=static has no registry to keep an entry in"),
    ("h:1", {"DISCOVERY_DISCOVERY": "dns"}, "DISCOVERY_DISCOVERY=dns has no registry to keep an entry in"),
]


@pytest.mark.parametrize(("words", "settings", "says"), MISTAKES)
def test_wrong_use_is_told_in_a_sentence(
    words: str,
    settings: dict[str, str],
    says: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    told = mistaken(("advertise", "web", *words.split()), capfd)
    assert told.code == 2
    assert told.err.startswith(says)
    assert len(told.err.splitlines()) == 1
