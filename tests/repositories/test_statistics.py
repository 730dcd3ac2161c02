"""Plays on the real Cassandra."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from cassandra.cluster import Cluster, Session

from common.database import Database, Statement, Write
from common.errors import Unavailable
from infra.cassandra import Cassandra
from services.statistics.repository import ADD_PLAY, INSERT_MARK, STATEMENTS, StatisticsRepository

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

    async def write(self, statement: Write, *values: Any) -> None:
        self.tried.append(statement)
        if statement is self.failing:
            raise Unavailable("away")


async def test_a_play_that_failed_is_told_and_never_tried_again() -> None:
    database = Fails(ADD_PLAY)
    with pytest.raises(Unavailable):
        await StatisticsRepository(database).add_play(uuid4())  # type: ignore[arg-type]  # a fake
    assert database.tried == [ADD_PLAY]
    assert not ADD_PLAY.idempotent  # so that the driver does not try it again either


async def test_a_play_that_counted_is_not_failed_by_its_mark() -> None:
    database, video = Fails(INSERT_MARK), uuid4()
    plays = StatisticsRepository(database)  # type: ignore[arg-type]  # a fake
    await plays.add_play(video)
    await plays.add_play(video)
    assert database.tried == [ADD_PLAY, ADD_PLAY, INSERT_MARK]
