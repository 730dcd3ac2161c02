"""What every implementation keeps when Cassandra leaves, hangs or comes back (promise 6), on a node of the tests' own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from common.database import Database, Select, Write, connect, explained
from common.errors import Unavailable
from grpc_discovery import DeadlineExceeded
from grpc_discovery.addresses import Address
from grpc_discovery.serving.deadlines import set_time_left
from infra.cassandra import Cassandra
from infra.ports import free_port
from tests.database import keyspace as scene
from tests.database.keyspace import DRIVERS, KEYSPACE, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

READY_SECONDS = 240
PROBE_SECONDS = 0.5


class Total(NamedTuple):
    """A counter."""

    total: int


class Claim(NamedTuple):
    """Who has a name."""

    owner: UUID


COUNT = Write("UPDATE counts SET total = total + 1 WHERE id = ?", idempotent=False)
COUNTED = Select("SELECT total FROM counts WHERE id = ?", Total)
CLAIM = Write("INSERT INTO claims (name, owner) VALUES (?, ?)")
OWNER = Select("SELECT owner FROM claims WHERE name = ?", Claim)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Cassandra that these tests stop and freeze."""
    node = Cassandra(tmp_path_factory.mktemp("away"), free_port(), heap_mb=512)
    node.start()
    try:
        node.wait_ready(READY_SECONDS)
        with scene.patient_cluster(node) as cluster:
            scene.create(cluster.connect())
        yield node
    finally:
        node.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def database(request: pytest.FixtureRequest, node: Cassandra) -> AsyncIterator[Database]:
    """The database through each driver in turn."""
    settings = settings_for(node, request.param)
    database = await connect(settings.cassandra, [Address(node.host, node.port)], KEYSPACE)
    await database.prepare((COUNT, COUNTED, CLAIM, OWNER))
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def no_deadline() -> None:
    """Each test begins without a deadline."""
    set_time_left(None)


async def until_it_answers(database: Database, seconds: float, wanted: bool = True) -> float:
    """Ask as the health probe does; the seconds until the answers were as wanted twice running."""
    began, hits = time.monotonic(), 0
    while hits < 2:
        hits = hits + 1 if await database.answers() is wanted else 0
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(PROBE_SECONDS / 5)
    return time.monotonic() - began


async def took(work: Awaitable[Any]) -> float:
    """Seconds until `work` failed."""
    began = time.monotonic()
    with pytest.raises((Unavailable, DeadlineExceeded)):
        await work
    return time.monotonic() - began


async def test_a_statement_waits_no_longer_than_the_deadline(database: Database, node: Cassandra) -> None:
    await until_it_answers(database, 10)
    node.pause()
    try:
        for call in everything(database):
            set_time_left(0.3)
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await call()
            assert 0.25 < time.monotonic() - began < 0.8
    finally:
        node.resume()
    set_time_left(None)
    await until_it_answers(database, 10)


async def test_a_hung_node_is_left_alone_and_calls_fail_at_once(database: Database, node: Cassandra) -> None:
    await until_it_answers(database, 10)
    node.pause()
    try:
        assert await until_it_answers(database, 6, wanted=False) < 5
        for call in everything(database):
            assert await took(call()) < 0.2
    finally:
        node.resume()
    assert await until_it_answers(database, 10) < 10
    await database.write(CLAIM, "after the pause", uuid4())


async def test_callers_are_told_the_same_always_and_operators_where_it_is_and_what_the_driver_said(
    database: Database, node: Cassandra
) -> None:
    await until_it_answers(database, 10)
    where = Address(node.host, node.port)
    node.pause()
    try:
        texts = []
        for _ in range(2):  # first a statement that is not answered in its time, then one that is not even tried
            with pytest.raises(Unavailable) as away:
                await database.select(OWNER, "somebody")
            texts.append(explained(away.value, [where]))
            assert str(away.value) == "The database is not available at the moment. Please try again later."
            await until_it_answers(database, 6, wanted=False)
    finally:
        node.resume()
    asked, not_asked = texts
    assert asked.startswith(f"no answer from {where}: ")
    assert "not available at the moment" not in asked
    assert not_asked == f"no answer from {where}: it has not answered for some seconds"
    await until_it_answers(database, 10)


async def test_a_node_that_hangs_for_long_is_found_again(database: Database, node: Cassandra) -> None:
    await until_it_answers(database, 10)
    node.pause()
    try:
        held = time.monotonic() + 20
        while time.monotonic() < held:
            assert not await database.answers() or time.monotonic() < held - 17
    finally:
        node.resume()
    assert await until_it_answers(database, 10) < 10
    assert await database.select(OWNER, "nobody") == []


async def test_a_node_that_stops_is_unavailable_at_once_and_found_when_it_returns(
    database: Database, node: Cassandra
) -> None:
    await until_it_answers(database, 10)
    key, owner = uuid4(), uuid4()
    await database.write(CLAIM, str(key), owner)
    await asyncio.to_thread(node.stop)
    for call in everything(database):
        assert await took(call()) < 2
    assert not await database.answers()
    assert await took(database.select(OWNER, str(key))) < 0.2
    node.start()
    await asyncio.to_thread(node.wait_ready, READY_SECONDS)
    assert await until_it_answers(database, 10) < 10
    assert await database.select(OWNER, str(key)) == [(owner,)]
    await database.write(COUNT, key)
    assert await database.select(COUNTED, key) == [(1,)]


async def test_a_counter_is_never_counted_twice_however_the_node_fails(database: Database, node: Cassandra) -> None:
    """What failed may be counted or not; nothing is counted twice."""
    await until_it_answers(database, 10)
    key = uuid4()
    answered, failed = 0, 0

    async def count() -> None:
        nonlocal answered, failed
        for _ in range(200):
            try:
                await database.write(COUNT, key)
                answered += 1
            except Unavailable:
                failed += 1

    async def disturb() -> None:
        for _ in range(3):
            await asyncio.sleep(0.05)
            node.pause()
            await asyncio.sleep(0.2)
            node.resume()
        await asyncio.to_thread(node.kill)

    await asyncio.gather(disturb(), *(count() for _ in range(10)))
    assert failed
    node.start()
    await asyncio.to_thread(node.wait_ready, READY_SECONDS)
    await until_it_answers(database, 10)
    counted = (await database.select(COUNTED, key))[0].total
    # How much of what it acknowledged a killed node loses is a matter of its commit log; counting twice would be ours.
    assert counted <= answered + failed


def everything(database: Database) -> list[Callable[[], Awaitable[Any]]]:
    """One call of each kind."""
    key = uuid4()
    return [
        lambda: database.select(OWNER, str(key)),
        lambda: database.select_one(OWNER, str(key)),
        lambda: database.write(CLAIM, str(key), key),
        lambda: database.write(COUNT, key),
        lambda: database.batch([(CLAIM, (str(key), key))]),
    ]
