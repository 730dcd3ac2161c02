"""What a service warns of when it starts, asked of a real Cassandra with each driver."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from cassandra.cluster import Session

from common import cautions
from common.database import ClockRow, Database, DatabaseError, connect
from common.settings import Settings
from common.timestamps import now
from grpc_discovery.addresses import Address
from tests.database.keyspace import DRIVERS, KEYSPACE, settings_for

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture(params=DRIVERS)
async def database(request: pytest.FixtureRequest, cassandra: Any, keyspace: Session) -> AsyncIterator[Database]:
    """A session by each driver."""
    session = await connect(
        settings_for(cassandra, request.param).cassandra, [Address(cassandra.host, cassandra.port)], KEYSPACE
    )
    yield session
    await session.close()


async def test_a_node_that_syncs_before_it_acknowledges_and_has_our_time_is_no_cause_for_warnings(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.prepare([cautions.COMMIT_LOG])
    assert await database.select_one(cautions.COMMIT_LOG) in (("batch",), ("group",))
    with caplog.at_level(logging.DEBUG, cautions.__name__):
        await cautions.warn_of_surroundings(database, Settings())
    assert caplog.messages == []


@pytest.mark.parametrize(("seconds", "words"), [(2, "behind"), (-2, "ahead of")])
async def test_clocks_that_differ_are_warned_of(
    database: Database, monkeypatch: pytest.MonkeyPatch, seconds: int, words: str
) -> None:
    monkeypatch.setattr(cautions, "now", lambda: now() + timedelta(seconds=seconds))
    warning = await cautions.of_the_clock(database)
    assert warning is not None
    assert f"s {words} this machine's" in warning


async def test_clocks_that_differ_by_less_than_half_a_second_are_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cautions, "now", lambda: now() + timedelta(seconds=0.3))
    assert await cautions.of_the_clock(database) is None


class Answering:
    """A session whose only answer is given: a setting of the node, or an error."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def prepare(self, statements: Any) -> None:
        """Fails where the answer is an error."""
        if isinstance(self.answer, Exception):
            raise self.answer

    async def select_one(self, statement: Any) -> Any:
        """The answer, for the setting; the node's clock is ours."""
        return self.answer if statement is cautions.COMMIT_LOG else ClockRow(now())


async def test_a_node_that_acknowledges_first_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    await cautions.warn_of_surroundings(Answering(cautions.SettingRow("periodic")), Settings())  # type: ignore[arg-type] # all that is asked of it
    [warning] = caplog.messages
    assert "commitlog_sync to group or batch" in warning


async def test_what_a_role_may_not_read_is_told_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, cautions.__name__):
        await cautions.warn_of_surroundings(Answering(DatabaseError("no SELECT permission")), Settings())  # type: ignore[arg-type] # as above
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert all("no SELECT permission" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({}, False),
        ({"listen_host": "0.0.0.0"}, True),
        ({"listen_host": "::1"}, False),
        ({"listen_host": "0.0.0.0", "paging_key": "kept to ourselves"}, False),
    ],
)
async def test_the_public_paging_key_is_warned_of_where_others_can_call(settings: dict[str, str], warned: bool) -> None:
    assert (cautions.of_the_paging_key(Settings.load(**settings)) is not None) == warned
