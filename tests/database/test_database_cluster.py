"""What every implementation keeps with a cluster of several nodes, of which one leaves and returns."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from cassandra.cluster import Session

from common.database import Database, Select, Write, connect
from common.errors import Unavailable
from discovery.tests.waiting import eventually
from grpc_discovery.addresses import Address
from grpc_discovery.serving.deadlines import set_time_left
from infra.cassandra import Cassandra, cassandra_cluster
from infra.processes import wait_until
from tests.database.keyspace import DRIVERS, PATIENCE, in_agreement, patient_cluster, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYSPACE = "cluster_tests"
READY_SECONDS = 240


class Claim(NamedTuple):
    """Who has a name."""

    owner: UUID


class Coordinator(NamedTuple):
    """The node that answers."""

    host_id: UUID


CLAIM = Write("INSERT INTO claims (name, owner) VALUES (?, ?)")
OWNER = Select("SELECT owner FROM claims WHERE name = ?", Claim)
COORDINATOR = Select("SELECT host_id FROM system.local", Coordinator)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Cassandra]]:
    """Two nodes that both hold all rows."""
    with cassandra_cluster(tmp_path_factory.mktemp("cluster"), 2, ready_seconds=READY_SECONDS) as nodes:
        wait_until(lambda: in_agreement(nodes), READY_SECONDS, "two nodes that know each other")
        with patient_cluster(nodes[0]) as cluster:
            _create(cluster.connect())
        wait_until(lambda: in_agreement(nodes), READY_SECONDS, "the same schema on both nodes")
        yield nodes


def _create(session: Session) -> None:
    session.default_timeout = PATIENCE
    session.execute(
        f"CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 2}}"
    )
    session.execute(f"CREATE TABLE {KEYSPACE}.claims (name text PRIMARY KEY, owner uuid)")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def database(request: pytest.FixtureRequest, nodes: list[Cassandra]) -> AsyncIterator[Database]:
    """The database through each driver in turn, told of one node only."""
    settings = settings_for(nodes[0], request.param, cassandra_read_consistency="LOCAL_ONE")
    database = await connect(settings.cassandra, [Address(nodes[0].host, nodes[0].port)], KEYSPACE)
    await database.prepare((CLAIM, OWNER, COORDINATOR))
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def no_deadline() -> None:
    """Each test begins without a deadline."""
    set_time_left(None)


async def until_both_answer(database: Database) -> None:
    """Return when the driver is connected with both nodes: one that has just returned is found again after a moment."""

    async def both() -> bool:
        return len({await database.select_one(COORDINATOR) for _ in range(8)}) == 2

    await eventually(both, 30, "the driver finds both nodes")


async def until_all_can_be_written(database: Database) -> float:
    """Seconds until both nodes take writes."""
    began = time.monotonic()
    while time.monotonic() - began < 30:
        try:
            await asyncio.gather(*(database.write(CLAIM, str(number), uuid4()) for number in range(20)))
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            break
    return time.monotonic() - began


@pytest.mark.parametrize("leaving", [0, 1], ids=["the contact point leaves", "the other leaves"])
async def test_reads_go_on_without_a_node_and_writes_once_it_is_back(
    database: Database, nodes: list[Cassandra], leaving: int
) -> None:
    await until_all_can_be_written(database)
    await until_both_answer(database)
    names = [str(uuid4()) for _ in range(50)]
    for name in names:
        await database.write(CLAIM, name, UUID(name))

    async def read(until: float) -> int:
        answered = 0
        while time.monotonic() < until:
            for name in names:
                assert await database.select_one(OWNER, name) == (UUID(name),)
                answered += 1
            await asyncio.sleep(0.01)
        return answered

    reading = asyncio.create_task(read(time.monotonic() + 8))
    await asyncio.to_thread(nodes[leaving].stop)
    assert await reading > 0
    with pytest.raises(Unavailable):
        await database.write(CLAIM, names[0], UUID(names[0]))
    assert await database.answers()
    nodes[leaving].start()
    await asyncio.to_thread(nodes[leaving].wait_ready, READY_SECONDS)
    assert await until_all_can_be_written(database) < 15
