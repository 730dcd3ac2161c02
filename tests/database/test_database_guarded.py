"""What every implementation keeps with a Cassandra that speaks TLS only and asks for a password."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from common.database import Select, connect
from common.errors import Unavailable
from grpc_discovery.addresses import Address
from infra.cassandra import FIRST_LOGIN, Cassandra, NodeTls
from infra.ports import free_port
from tests.database.keyspace import DRIVERS, settings_for
from tests.security.certificates import Authority

READY_SECONDS = 240
PASSWORD = "keystore-password"  # of a file made for this test


class Node(NamedTuple):
    """What a node says of itself."""

    key: str


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signed the node's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Cassandra]:
    """A Cassandra that speaks TLS only and asks for a password."""
    tls = NodeTls(authority.keystore("cassandra", PASSWORD), PASSWORD)
    node = Cassandra(tmp_path_factory.mktemp("guarded"), free_port(), login=FIRST_LOGIN, tls=tls)
    node.start()
    try:
        node.wait_ready(READY_SECONDS)
        yield node
    finally:
        node.stop()


@pytest.fixture
def way_in(guarded: Cassandra, authority: Authority) -> dict[str, Any]:
    """The settings that lead into it."""
    return {
        "dse_username": FIRST_LOGIN.username,
        "dse_password": FIRST_LOGIN.password,
        "enable_ssl": True,
        "ssl_certificate": authority.certificate,
    }


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_right_password_and_authority_lead_in(
    driver: str, guarded: Cassandra, way_in: dict[str, Any]
) -> None:
    database = await connect(
        settings_for(guarded, driver, **way_in).cassandra, [Address(guarded.host, guarded.port)], None
    )
    statement = Select("SELECT key FROM system.local", Node)
    await database.prepare([statement])
    assert await database.select(statement) == [("local",)]
    await database.close()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("wrong", ["password", "no password", "authority", "no TLS"])
async def test_anything_else_is_unavailable_and_says_no_secret(
    driver: str, wrong: str, guarded: Cassandra, way_in: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if wrong == "password":
        way_in["dse_password"] = "wrong-password-51"
    elif wrong == "no password":
        way_in["dse_username"] = way_in["dse_password"] = None
    elif wrong == "authority":
        way_in["ssl_certificate"] = Authority(tmp_path_factory.mktemp("stranger"), "stranger").certificate
    else:
        way_in["enable_ssl"] = False
    with pytest.raises(Unavailable) as refused:
        async with asyncio.timeout(15):
            await connect(
                settings_for(guarded, driver, **way_in).cassandra, [Address(guarded.host, guarded.port)], None
            )
    assert "wrong-password-51" not in str(refused.value)
