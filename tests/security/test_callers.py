"""TLS between callers and services: who is let in, and what is logged of those who are not."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.health import Running, fault
from infra.processes import wait_until
from tests.processes import ServiceProcess
from tests.security.certificates import Authority, Certificate

REASONS = {
    "none": "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    "a stranger's": "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate",
    "an expired": "CERTIFICATE_VERIFY_FAILED: certificate has expired",
    "no TLS": "WRONG_VERSION_NUMBER",
}
"""What the service's log says of a caller that it refuses."""


def status(address: str, authority: Authority, shown: Certificate | None = None, *, timeout: float = 3) -> str:
    """What a call to `address` ends with, by a caller that shows the certificate `shown`."""
    pair = shown.pair() if shown else (None, None)
    with grpc.secure_channel(
        address, grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *pair)
    ) as channel:
        return _status(channel, timeout)


def plain_status(address: str) -> str:
    with grpc.insecure_channel(address) as channel:
        return _status(channel, 3)


def _status(channel: grpc.Channel, timeout: float) -> str:
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout)
    except grpc.RpcError as error:
        return error.code().name
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def logged_more(process: ServiceProcess, text: str, times: int) -> bool:
    """Whether its log holds `text` more than so many times."""
    return process.log_text().count(text) > times


@pytest.fixture
def served(
    start_service: Callable[..., ServiceProcess], authority: Authority, tmp_path: Path
) -> tuple[ServiceProcess, Certificate]:
    """The comments service behind a certificate, asking callers for theirs; and a certificate that it takes."""
    server, caller = authority.sign("server"), authority.sign("caller")
    mine = Certificate(tmp_path / "server.pem", tmp_path / "server-key.pem")
    shutil.copy(server.certificate, mine.certificate)
    shutil.copy(server.key, mine.key)
    process = start_service(
        "comments",
        wait=False,
        KILLRVIDEO_GRPC_CERTIFICATE=str(mine.certificate),
        KILLRVIDEO_GRPC_KEY=str(mine.key),
        KILLRVIDEO_GRPC_CLIENT_CA=str(authority.certificate),
    )
    wait_until(
        lambda: status(process.address, authority, caller) == "SERVING", 60, f"the service serves:\n{process.log_end()}"
    )
    return process, caller


def test_only_a_caller_with_a_valid_certificate_is_served_and_the_log_says_why_others_are_not(
    served: tuple[ServiceProcess, Certificate], authority: Authority, stranger: Authority
) -> None:
    process, caller = served
    expired = authority.sign("expired", lasts=timedelta(days=-1))
    ends: dict[str, Callable[[], str]] = {
        "none": lambda: status(process.address, authority),
        "a stranger's": lambda: status(process.address, authority, stranger.sign("intruder")),
        "an expired": lambda: status(process.address, authority, expired),
        "no TLS": lambda: plain_status(process.address),
    }
    for kind, end in ends.items():
        seen = process.log_text().count(REASONS[kind])
        assert end() in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), kind
        wait_until(partial(logged_more, process, REASONS[kind], seen), 5, f"a log line for {kind}")
    assert status(process.address, authority, caller) == "SERVING"


def test_a_caller_does_not_talk_to_a_server_that_a_stranger_vouches_for(
    served: tuple[ServiceProcess, Certificate], stranger: Authority
) -> None:
    process, caller = served
    assert status(process.address, stranger, caller) == "UNAVAILABLE"


def test_a_renewed_certificate_is_taken_without_a_restart(
    served: tuple[ServiceProcess, Certificate], authority: Authority, stranger: Authority
) -> None:
    process, caller = served
    pid = process.pid
    settings = process.environment
    renewed = stranger.sign("renewed")
    shutil.copy(renewed.certificate, settings["KILLRVIDEO_GRPC_CERTIFICATE"])
    shutil.copy(renewed.key, settings["KILLRVIDEO_GRPC_KEY"])
    wait_until(lambda: status(process.address, stranger, caller) == "SERVING", 10, "the renewed certificate is shown")
    assert process.pid == pid
    assert process.alive


def test_the_containers_health_command_gets_in_too(served: tuple[ServiceProcess, Certificate]) -> None:
    process, _ = served
    assert fault(Running("services.comments", process.environment)) is None
