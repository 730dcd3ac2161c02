"""TLS and passwords between services and Cassandra."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cassandra import FIRST_LOGIN, Cassandra, NodeTls
from infra.etcd import Etcd
from infra.ports import free_port
from infra.processes import wait_until
from tests.processes import ServiceProcess, run_module
from tests.security.certificates import Authority

READY_SECONDS = 120.0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Cassandra]:
    """A Cassandra that speaks TLS only and asks for a password."""
    folder = tmp_path_factory.mktemp("guarded")
    tls = NodeTls(authority.keystore("cassandra", "keystore-password"), "keystore-password")
    node = Cassandra(folder, free_port(), login=FIRST_LOGIN, tls=tls)
    node.start()
    try:
        node.wait_ready(READY_SECONDS)
        yield node
    finally:
        node.stop()


@pytest.fixture
def way_in(guarded: Cassandra, etcd: Etcd, authority: Authority, tmp_path: Path) -> dict[str, str]:
    """The settings that lead into it."""
    password = tmp_path / "dse_password"
    password.write_text(f"{FIRST_LOGIN.password}\n", encoding="utf-8")
    return {
        "KILLRVIDEO_ETCD": etcd.address,
        "KILLRVIDEO_DSE_CONTACT_POINTS": guarded.address,
        "KILLRVIDEO_DSE_USERNAME": FIRST_LOGIN.username,
        "KILLRVIDEO_DSE_PASSWORD_FILE": str(password),
        "KILLRVIDEO_ENABLE_SSL": "true",
        "KILLRVIDEO_SSL_CERTIFICATE": str(authority.certificate),
    }


def test_the_schema_step_and_a_service_get_in_with_password_and_certificate(
    way_in: dict[str, str], tmp_path: Path
) -> None:
    run_module("schema", environment=way_in, folder=tmp_path)
    with ServiceProcess("comments", tmp_path, way_in) as process:
        assert process.is_ready()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"KILLRVIDEO_DSE_PASSWORD_FILE": "", "KILLRVIDEO_DSE_PASSWORD": "wrong-password-51"},
            "and/or password",
        ),
        ({"KILLRVIDEO_SSL_CERTIFICATE": "stranger"}, "verify"),
    ],
    ids=["wrong password", "unknown authority"],
)
def test_a_service_that_cannot_get_in_waits_and_says_why(
    way_in: dict[str, str], stranger: Authority, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    settings = way_in | {
        name: str(stranger.certificate) if value == "stranger" else value for name, value in wrong.items()
    }
    process = ServiceProcess("comments", tmp_path, settings)
    process.start()
    try:
        wait_until(lambda: said in process.log_text(), 60, f"the reason in the log:\n{process.log_end()}")
        assert process.alive
        assert "waiting for Cassandra" in process.log_text()
        assert "wrong-password-51" not in process.log_text()
    finally:
        process.stop()
    assert process.exit_code == 0
