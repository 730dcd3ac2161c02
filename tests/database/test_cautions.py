"""What a service warns of when it starts, asked of a real Cassandra with each driver."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from cassandra.cluster import Session
from prometheus_client import REGISTRY

from common import cautions
from common.database import ClockRow, Database, DatabaseError, connect
from common.metrics import CLOCK_OFFSET
from common.settings import Settings
from common.timestamps import now
from grpc_discovery.addresses import Address
from grpc_discovery.tasks import cancel_and_wait
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


@pytest.mark.parametrize("seconds", [2.0, -2.0])
async def test_how_far_the_clocks_are_apart_is_measured_again_and_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    measured = asyncio.Queue[float]()
    monkeypatch.setattr(cautions, "CLOCK_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(CLOCK_OFFSET, "set", measured.put_nowait)
    following = asyncio.create_task(cautions.follow_the_clock(database))
    try:
        async with asyncio.timeout(10):
            assert abs(await measured.get()) < 0.5
            monkeypatch.setattr(cautions, "now", lambda: now() + timedelta(seconds=seconds))
            while abs(await measured.get() + seconds) > 0.5:
                pass
    finally:
        await cancel_and_wait([following])


async def test_the_offset_is_what_was_measured_last(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in (2, -2, 0):
        monkeypatch.setattr(cautions, "now", lambda seconds=seconds: now() + timedelta(seconds=seconds))
        await cautions.of_the_clock(database)
        assert REGISTRY.get_sample_value("killrvideo_clock_offset_seconds") == pytest.approx(-seconds, abs=0.5)


async def test_a_clock_that_cannot_be_read_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cautions, "CLOCK_EVERY_SECONDS", 0.01)
    refusing: Any = Answering(DatabaseError("no SELECT permission"))
    following = asyncio.create_task(cautions.follow_the_clock(refusing))
    async with asyncio.timeout(10):
        while refusing.asked < 3:  # noqa: ASYNC110  it is asked
            await asyncio.sleep(0.01)
    assert not following.done()
    await cancel_and_wait([following])


class Answering:
    """A session whose only answer is given: a setting of the node, or an error."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    async def prepare(self, statements: Any) -> None:
        """Fails where the answer is an error."""
        self.asked += 1
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
