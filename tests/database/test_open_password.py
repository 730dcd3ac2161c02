"""A password for Cassandra that others could read is told at the start."""

from pathlib import Path

import pytest

from common.database.factory import warn_of_open_password
from common.settings import Settings
from grpc_discovery.addresses import Address


@pytest.mark.parametrize(
    ("address", "given", "told"),
    [
        ("192.0.2.1", {"dse_contact_points": "192.0.2.1"}, "goes over the network without TLS"),
        ("192.0.2.1", {}, "without TLS, to whatever address the registry names"),
        ("127.0.0.1", {"dse_contact_points": "127.0.0.1"}, ""),
        ("192.0.2.1", {"enable_ssl": True, "ssl_certificate": Path(__file__)}, ""),
        ("192.0.2.1", {"dse_username": ""}, ""),
    ],
    ids=["over the network", "found in the registry", "on this machine", "with TLS", "without a user"],
)
def test_a_password_that_leaves_the_machine_without_tls_is_told(
    caplog: pytest.LogCaptureFixture, address: str, given: dict[str, object], told: str
) -> None:
    settings = Settings.from_environment("KILLRVIDEO_", {}, **{"dse_username": "me", "dse_password": "secret", **given})
    warn_of_open_password(settings.cassandra, [Address(address, 9042)])
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)
