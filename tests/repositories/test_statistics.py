"""Plays on the real Cassandra."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from cassandra.cluster import Cluster, Session

from common.database import Database, Statement, Write
from common.errors import Unavailable
from grpc_discovery import time_left
from infra.cassandra import Cassandra
from services.statistics.counting import ADD_PLAY, JOURNAL, PROBE, PeerRow
from services.statistics.repository import INSERT_MARK, STATEMENTS, StatisticsRepository

OpenDatabase = Callable[[Iterable[Statement]], Awaitable[Database]]


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database(STATEMENTS)


@pytest.fixture
def cql(cassandra: Cassandra) -> Iterator[Session]:
    """A session behind the service's back."""
    cluster = Cluster([cassandra.host], port=cassandra.port)
    yield cluster.connect("killrvideo")
    cluster.shutdown()


async def test_every_play_counts_one(database: Database) -> None:
    plays, video, unknown = StatisticsRepository(database), uuid4(), uuid4()
    await asyncio.gather(*(plays.add_play(video) for _ in range(50)))
    assert await plays.plays([video, unknown, video]) == {video: 50}


async def test_200_videos_are_asked_for_at_once(database: Database) -> None:
    plays, videos = StatisticsRepository(database), [uuid4() for _ in range(200)]
    await asyncio.gather(*(plays.add_play(video) for video in videos))
    assert await plays.plays(videos) == dict.fromkeys(videos, 1)


async def test_the_table_may_be_emptied_at_any_time(database: Database, cql: Session) -> None:
    plays, video = StatisticsRepository(database), uuid4()
    await plays.add_play(video)
    await asyncio.to_thread(cql.execute, "TRUNCATE video_playback_stats", timeout=30)
    assert await plays.plays([video]) == {}


async def test_a_video_is_marked_when_its_plays_double(database: Database, cql: Session) -> None:
    plays, video, once = StatisticsRepository(database), uuid4(), uuid4()
    await plays.add_play(once)
    for _ in range(9):
        await plays.add_play(video)
    marks = {(row.level, row.videoid) for row in cql.execute("SELECT level, videoid FROM played_video_marks")}
    assert sorted(level for level, marked in marks if marked == video) == [2, 3, 4]  # at 2, 4 and 8 plays
    assert once not in {marked for _, marked in marks}


class CountsMarks:
    """A database that takes every write, and remembers the marks."""

    def __init__(self) -> None:
        self.marks: list[tuple[Any, ...]] = []

    async def select_one(self, *_: Any) -> None: ...

    async def write(self, statement: Write, *values: Any) -> None:
        if statement is INSERT_MARK:
            self.marks.append(values)


async def test_marks_of_a_minute_are_bounded_and_hot_videos_are_among_them() -> None:
    database, hot = CountsMarks(), uuid4()
    plays = StatisticsRepository(database)  # type: ignore[arg-type]  # a fake
    for _ in range(2_000):
        once_or_twice = uuid4()
        for video in (once_or_twice, hot, once_or_twice):
            await plays.add_play(video)
    for minute in {mark[0] for mark in database.marks}:
        marks = [mark for mark in database.marks if mark[0] == minute]
        assert len(marks) == len(set(marks)) <= 200
    assert (11, hot) in {mark[1:] for mark in database.marks}


class Fails:
    """A database on which one statement fails, and that counts how often each is tried."""

    def __init__(self, failing: Write) -> None:
        self.failing = failing
        self.tried: list[Write] = []

    async def select_one(self, *_: Any) -> PeerRow:
        return PeerRow(uuid4())

    async def write(self, statement: Write, *values: Any) -> None:
        self.tried.append(statement)
        if statement is self.failing:
            raise Unavailable("away")


async def test_a_play_that_failed_is_told_and_never_tried_again() -> None:
    database = Fails(ADD_PLAY)
    with pytest.raises(Unavailable):
        await StatisticsRepository(database).add_play(uuid4())  # type: ignore[arg-type]  # a fake
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)
    assert PROBE in database.tried
    assert database.tried.count(ADD_PLAY) == 1
    assert not ADD_PLAY.idempotent  # so that the driver does not try it again either


async def test_a_play_that_counted_is_not_failed_by_its_mark() -> None:
    database, video = Fails(INSERT_MARK), uuid4()
    plays = StatisticsRepository(database)  # type: ignore[arg-type]  # a fake
    await plays.add_play(video)
    await plays.add_play(video)
    assert database.tried == [ADD_PLAY, ADD_PLAY, INSERT_MARK]


class LosesAReplica:
    """The real Cassandra, of which every third increment goes to a node that hangs, while `lost` is set; that node has applied half of them."""

    def __init__(self, database: Database, has_peers: bool = True) -> None:
        self._database = database
        self.has_peers = has_peers
        self.lost = True
        self._increments = 0
        self.journaled = self.counted = 0

    async def select(self, statement: Any, *values: Any) -> Any:
        return await self._database.select(statement, *values)

    async def select_one(self, *_: Any) -> PeerRow | None:
        return PeerRow(uuid4()) if self.has_peers else None

    async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
        self.journaled += statement is JOURNAL
        if statement in (ADD_PLAY, PROBE):
            self._increments += 1
            if self.lost and self._increments % 3 == 0:
                if self._increments % 2:
                    await self._database.write(statement, *values)
                await asyncio.sleep(time_left(2.0))
                raise Unavailable("it has not answered")
        await self._database.write(statement, *values, timestamp_us=timestamp_us)
        self.counted += statement is ADD_PLAY


async def test_while_a_replica_hangs_plays_are_taken_beside_the_counter_and_none_counts_twice(
    database: Database,
) -> None:
    losing, videos = LosesAReplica(database), [uuid4(), uuid4()]
    plays = StatisticsRepository(losing)  # type: ignore[arg-type]  # stands before the real one
    began = asyncio.get_running_loop().time()

    async def play(number: int) -> bool:
        await asyncio.sleep(max(0, began + number / 50 - asyncio.get_running_loop().time()))
        try:
            await plays.add_play(videos[number % 2])
        except Unavailable:
            return False
        return True

    outcomes = await asyncio.gather(*(play(number) for number in range(150)))
    failed = outcomes.count(False)
    # Those of the time in which nobody knew: a third of 50 a second at most, and they are the only ones.
    assert 0 < failed <= 25
    assert all(outcomes[75:])
    assert losing.journaled >= 75
    counted = sum((await plays.plays(videos)).values())
    assert 150 - failed <= counted <= 150


async def test_a_cassandra_of_one_node_counts_in_the_counter_only(database: Database) -> None:
    losing, video = LosesAReplica(database, has_peers=False), uuid4()
    plays = StatisticsRepository(losing)  # type: ignore[arg-type]  # stands before the real one
    await asyncio.gather(*(plays.add_play(video) for _ in range(9)), return_exceptions=True)
    await asyncio.gather(*(plays.add_play(video) for _ in range(9)), return_exceptions=True)
    assert losing.journaled == 0
    assert losing.counted == 12


async def test_when_all_replicas_answer_again_plays_go_to_the_counter(database: Database) -> None:
    losing, video = LosesAReplica(database), uuid4()
    plays = StatisticsRepository(losing)  # type: ignore[arg-type]  # stands before the real one
    acknowledged = 0

    async def play_until(condition: Callable[[], bool]) -> None:
        nonlocal acknowledged
        async with asyncio.timeout(20):
            while not condition():
                try:
                    await plays.add_play(video)
                except Unavailable:
                    continue
                acknowledged += 1
                await asyncio.sleep(0.02)

    await play_until(lambda: losing.journaled >= 5)
    losing.lost = False
    counted = losing.counted
    await play_until(lambda: losing.counted >= counted + 5)
    assert acknowledged <= (await plays.plays([video]))[video] <= acknowledged + 3


async def test_of_two_plays_beside_the_counter_the_later_number_stands_whichever_is_written_last(
    database: Database,
) -> None:
    class SlowAtFirst(LosesAReplica):
        async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
            if statement is JOURNAL and values[2] == 1:
                await asyncio.sleep(0.2)
            await super().write(statement, *values, timestamp_us=timestamp_us)

    losing, video = SlowAtFirst(database), uuid4()
    plays = StatisticsRepository(losing)  # type: ignore[arg-type]  # stands before the real one
    async with asyncio.timeout(20):
        while not losing.journaled:
            try:
                await plays.add_play(uuid4())
            except Unavailable:
                continue
    await asyncio.gather(plays.add_play(video), plays.add_play(video), plays.add_play(video))
    assert await plays.plays([video]) == {video: 3}
