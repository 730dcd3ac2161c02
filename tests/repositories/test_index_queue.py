"""What is written for the index after a submit is answered, on the real Cassandra: by the process itself, or by a sweep."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cassandra.cluster import Cluster, Session

from common.database import Database, Statement
from infra.cassandra import Cassandra
from services.search.query import QueryPlanner
from services.search.repository import STATEMENTS as SEARCH_STATEMENTS
from services.search.repository import SearchRepository
from services.search.results import results
from services.video_catalog import index_sweep, late_indexing
from services.video_catalog.index_queue import MINUTE, queue_step, queued_submit
from services.video_catalog.late_indexing import LateIndexing, Rest
from services.video_catalog.repository import STATEMENTS, VideoCatalogRepository
from services.video_catalog.submissions import Submissions
from services.video_catalog.video import Submission

IN_TIME_SECONDS = 10

OpenDatabase = Callable[[Iterable[Statement]], Awaitable[Database]]


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database((*STATEMENTS, *SEARCH_STATEMENTS))


@pytest.fixture
async def videos(database: Database) -> VideoCatalogRepository:
    return VideoCatalogRepository(database)


@pytest.fixture
def cql(cassandra: Cassandra) -> Iterator[Session]:
    """A session behind the service's back, and an empty queue."""
    cluster = Cluster([cassandra.host], port=cassandra.port)
    session = cluster.connect("killrvideo")
    session.execute("TRUNCATE index_queue")
    yield session
    cluster.shutdown()


@pytest.fixture
def due_at_once(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A sweep takes what was queued just now. For what else a test changes."""
    monkeypatch.setattr(index_sweep, "DUE_AFTER", timedelta(0))
    return monkeypatch


class Dying(Submissions):
    """Submits, and is killed as soon as the submit is answered. Keeps what it would have done next."""

    def __init__(self, videos: VideoCatalogRepository) -> None:
        super().__init__(videos)
        self.left: list[Rest] = []
        self._late_indexing.add = self.left.append  # type: ignore[assignment, method-assign]


def word() -> str:
    """A word that no other video has, of letters only, and without an ending that would be taken off."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex[:13]) + "k"


def submission(name: str, late: str = "") -> Submission:
    """A video that has the word `late` at the end of a long description, if any."""
    description = f"{'about this ' * 200} {late}" if late else ""
    return Submission(uuid4(), uuid4(), name, description, "x", 0, "//p", frozenset())


async def found(database: Database, query: str) -> list[UUID]:
    repository = SearchRepository(database)
    planned = await QueryPlanner(repository).plan(query)
    return [result.row.video_id for result in await results(repository, planned, 10, None)]


def queued(cql: Session, video_id: UUID) -> list[Any]:
    return [row for row in cql.execute("SELECT minute, queued_at, videoid FROM index_queue") if row.videoid == video_id]


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    until = time.monotonic() + IN_TIME_SECONDS
    while not await condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


async def test_name_and_beginning_are_found_at_once_and_the_rest_in_time(
    videos: VideoCatalogRepository, database: Database, cql: Session
) -> None:
    name, late = word(), word()
    one = submission(name, late)
    await Submissions(videos).submit(one)
    assert await found(database, name) == [one.video_id]
    assert queued(cql, one.video_id)

    async def is_done() -> bool:
        return not queued(cql, one.video_id)

    await eventually(is_done)
    assert await found(database, late) == [one.video_id]
    assert await found(database, f"{name[:5]}{name[6:]}") == [one.video_id]  # mistyped


async def test_a_submit_whose_words_are_all_known_is_not_queued(videos: VideoCatalogRepository, cql: Session) -> None:
    submissions, name = Submissions(videos), word()
    one = submission(name)
    await submissions.submit(one)

    async def is_done() -> bool:
        return not queued(cql, one.video_id)

    await eventually(is_done)
    other = submission(name)
    await submissions.submit(other)
    assert not queued(cql, other.video_id)


async def test_another_process_finishes_what_a_killed_one_left(
    videos: VideoCatalogRepository, database: Database, cql: Session, due_at_once: pytest.MonkeyPatch
) -> None:
    name, late = word(), word()
    one, gone = submission(name, late), submission(word(), word())
    dying = Dying(videos)
    await dying.submit(one)
    await dying.submit(gone)
    cql.execute("DELETE FROM videos WHERE videoid = %s", (gone.video_id,))
    assert not await found(database, late)
    await Submissions(VideoCatalogRepository(database)).sweep.sweep()
    assert await found(database, late) == [one.video_id]
    assert await found(database, f"{name[:5]}{name[6:]}") == [one.video_id]
    assert not queued(cql, one.video_id)
    assert queued(cql, gone.video_id)  # its row may come yet, from the log of a batch


async def test_a_submit_is_left_alone_until_whoever_took_it_should_have_done_it(
    videos: VideoCatalogRepository, database: Database, cql: Session
) -> None:
    one = submission(word(), word())
    await Dying(videos).submit(one)
    await Submissions(VideoCatalogRepository(database)).sweep.sweep()
    assert queued(cql, one.video_id)


async def test_two_that_sweep_at_once_and_one_that_is_still_at_it_do_no_harm(
    videos: VideoCatalogRepository, database: Database, cql: Session, due_at_once: pytest.MonkeyPatch
) -> None:
    several = [submission(word(), word()) for _ in range(5)]
    submissions = Submissions(videos)
    for each in several:
        await submissions.submit(each)
    other = Submissions(VideoCatalogRepository(database))
    await asyncio.gather(submissions.sweep.sweep(), other.sweep.sweep())

    async def is_done() -> bool:
        return not any(queued(cql, each.video_id) for each in several)

    await eventually(is_done)
    for each in several:
        assert await found(database, each.description.split()[-1]) == [each.video_id]


async def test_what_a_process_cannot_take_is_left_to_the_sweep(
    videos: VideoCatalogRepository,
    database: Database,
    cql: Session,
    due_at_once: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    due_at_once.setattr(late_indexing, "MAX_WAITING", 1)
    due_at_once.setattr(index_sweep, "BEHIND_SECONDS", 0)
    due_at_once.setattr(index_sweep, "MAX_SUBMITS", 3)
    due_at_once.setattr(late_indexing, "PAUSE_SECONDS", 3600)
    submissions, several = Submissions(videos), [submission(word(), word()) for _ in range(8)]
    for each in several:
        await submissions.submit(each)
    for _ in range(8):
        await submissions.sweep.sweep()
    left = [each for each in several if queued(cql, each.video_id)]
    assert left == several[:1]  # waits in the process
    assert caplog.text.count("what follows submits is not written in time") == 1
    for each in several[1:]:
        assert await found(database, each.description.split()[-1]) == [each.video_id]


async def test_a_process_that_starts_looks_at_the_days_before(
    videos: VideoCatalogRepository, database: Database, cql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = word()
    one, gone = submission(word(), late), uuid4()
    dying = Dying(videos)
    await dying.submit(one)
    cql.execute("TRUNCATE index_queue")
    now_us = await videos.now_us()
    hours_ago = [now_us - hours * 3_600_000_000 for hours in (7, 1)]
    for video_id, at_us in zip((one.video_id, gone), hours_ago, strict=True):
        await videos.write_together([queue_step(queued_submit(video_id, at_us, at_us))], at_us)
    starting = Submissions(VideoCatalogRepository(database))
    sweeps = 0
    while queued(cql, one.video_id):
        await starting.sweep.sweep()
        sweeps += 1
        assert sweeps <= 9
    assert await found(database, late) == [one.video_id]
    assert not queued(cql, gone)  # a video that is gone has nothing left to do


async def test_a_minute_is_looked_at_once_more_when_batches_that_were_only_logged_have_come(
    videos: VideoCatalogRepository, cql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_sweep, "KEPT_FOR", timedelta(0))
    one, submissions = submission(word(), word()), Submissions(videos)
    await submissions.sweep.sweep()
    start_us = await videos.now_us()
    await Dying(videos).submit(one)
    [row] = queued(cql, one.video_id)

    class Later(VideoCatalogRepository):
        minutes = 0

        async def now_us(self) -> int:
            return start_us + self.minutes * 60_000_000

    later = Later(videos._database)
    sweep = submissions.sweep
    sweep._repository = later
    later.minutes = 9
    sweep._open_from = row.queued_at + 2 * MINUTE  # it came when the sweep had passed
    await sweep.sweep()
    assert queued(cql, one.video_id)
    later.minutes = 12
    for _ in range(3):
        await sweep.sweep()
    assert not queued(cql, one.video_id)


async def test_a_newer_form_wins_over_what_the_older_one_writes_late(
    videos: VideoCatalogRepository, database: Database, cql: Session, due_at_once: pytest.MonkeyPatch
) -> None:
    late, name = word(), word()
    one, dying = submission(word(), late), Dying(videos)
    await dying.submit(one)
    await dying.submit(replace(one, name=name, description=""))
    late_indexing_of_one = LateIndexing(videos, dying._spellings)
    await late_indexing_of_one.finish(dying.left[:1])
    assert not list(cql.execute("SELECT videoid FROM video_words WHERE word = %s", (late,)))
    assert [row.queued_at for row in queued(cql, one.video_id)] == [dying.left[1].submit.queued_at]
    await Submissions(videos).sweep.sweep()
    assert not queued(cql, one.video_id)
    assert await found(database, name) == [one.video_id]
