"""Ratings on the real Cassandra: exact whoever writes at once, and whatever is killed, lost or emptied in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import grpc
import pytest
from cassandra.cluster import Cluster, Session
from cassandra.query import BatchStatement, BatchType

from common.database import Database, Statement
from grpc_discovery import DeadlineExceeded, ServiceError
from grpc_discovery.serving.deadlines import set_time_left
from infra.cassandra import Cassandra
from protos import ratings_pb2 as messages
from protos.common_pb2 import Uuid
from protos.ratings_pb2_grpc import RatingsServiceStub
from services.ratings.repository import STATEMENTS, RatingsRepository, Totals
from services.ratings.tally import Tally
from tests.processes import ServiceProcess
from tests.repositories.crashing import AnswersLost, KilledAt

if TYPE_CHECKING:
    from protos.ratings_pb2_grpc import RatingsServiceAsyncStub

OpenDatabase = Callable[[Iterable[Statement]], Awaitable[Database]]


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database(STATEMENTS)


@pytest.fixture
async def tally(database: Database) -> Tally:
    return Tally(RatingsRepository(database))


@pytest.fixture
def cql(cassandra: Cassandra) -> Iterator[Session]:
    """A session behind the service's back."""
    cluster = Cluster([cassandra.host], port=cassandra.port)
    yield cluster.connect("killrvideo")
    cluster.shutdown()


def rows_of(cql: Session, video_id: UUID) -> Totals:
    """What the rows of a video come to."""
    rows = cql.execute("SELECT rating FROM video_ratings_by_user WHERE videoid = %s", (video_id,))
    given = [row.rating for row in rows if row.rating is not None]
    return Totals(len(given), sum(given))


async def test_rating_again_replaces_and_repeating_changes_nothing(tally: Tally) -> None:
    video, user = uuid4(), uuid4()
    for rating in (1, 5, 5, 2):
        await tally.rate(video, user, rating)
    await tally.rate(video, uuid4(), 4)
    assert await tally.totals(video) == Totals(2, 6)
    assert await tally.ratings.rating_by(video, user) == 2


async def test_what_nobody_rated_has_0(tally: Tally) -> None:
    assert await tally.totals(uuid4()) == Totals(0, 0)
    assert await tally.ratings.rating_by(uuid4(), uuid4()) == 0


async def test_64_users_rating_one_video_at_once_are_counted_exactly(tally: Tally, cql: Session) -> None:
    video = uuid4()
    await asyncio.gather(*(tally.rate(video, uuid4(), 1 + number % 5) for number in range(64)))
    expected = Totals(64, sum(1 + number % 5 for number in range(64)))
    assert await tally.totals(video) == expected == rows_of(cql, video)


async def test_one_user_rating_from_many_places_at_once_counts_once(open_database: OpenDatabase, cql: Session) -> None:
    instances = [Tally(RatingsRepository(await open_database(STATEMENTS))) for _ in range(3)]
    video, user = uuid4(), uuid4()
    await asyncio.gather(*(instances[number % 3].rate(video, user, 1 + number % 5) for number in range(30)))
    last = await instances[0].ratings.rating_by(video, user)
    assert 1 <= last <= 5
    assert await instances[1].totals(video) == Totals(1, last) == rows_of(cql, video)


async def test_processes_that_contend_for_one_video_lose_nothing(open_database: OpenDatabase, cql: Session) -> None:
    instances = [Tally(RatingsRepository(await open_database(STATEMENTS))) for _ in range(2)]
    video = uuid4()
    for _ in range(3):  # several rounds, so that each finds the other in the middle
        await asyncio.gather(*(instance.rate(video, uuid4(), 5) for instance in instances for _ in range(20)))
    assert await instances[0].totals(video) == Totals(120, 600) == rows_of(cql, video)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_the_totals_equal_the_rows_and_a_retry_counts_once(
    database: Database, tally: Tally, cql: Session, number: int, after: bool
) -> None:
    video, user = uuid4(), uuid4()
    await tally.rate(video, uuid4(), 3)
    killed = KilledAt(database, number, after)
    call = asyncio.ensure_future(Tally(RatingsRepository(killed)).rate(video, user, 5))  # type: ignore[arg-type]  # passes on
    # The four writes of a rating: the batch, then side by side the entry in the user's list, the counters and the mark.
    await killed.settled()
    call.cancel()
    await asyncio.wait([call])
    assert await tally.totals(video) == rows_of(cql, video)
    await tally.rate(video, user, 5)
    assert await tally.totals(video) == Totals(2, 8) == rows_of(cql, video)


async def test_a_write_whose_answer_was_lost_counts_once(database: Database, cql: Session) -> None:
    tally = Tally(RatingsRepository(AnswersLost(database, 2)))
    video, user = uuid4(), uuid4()
    await tally.rate(video, user, 5)
    await tally.rate(video, user, 4)
    assert await tally.totals(video) == Totals(1, 4) == rows_of(cql, video)


async def test_rows_of_an_older_database_are_counted_at_the_first_read(tally: Tally, cql: Session) -> None:
    video = uuid4()
    for rating in (1, 2, 5):
        cql.execute(
            "INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (%s, %s, %s)", (video, uuid4(), rating)
        )
    assert await tally.totals(video) == Totals(3, 8)
    kept = cql.execute(
        "SELECT ratings_count, ratings_total, version FROM video_ratings_by_user WHERE videoid = %s", (video,)
    ).one()
    assert (kept.ratings_count, kept.ratings_total) == (3, 8)
    assert kept.version is not None


async def test_rows_of_an_older_database_are_counted_at_the_first_rating(
    open_database: OpenDatabase, cql: Session
) -> None:
    instances = [Tally(RatingsRepository(await open_database(STATEMENTS))) for _ in range(2)]
    video, users = uuid4(), [uuid4() for _ in range(4)]
    for user in users:
        cql.execute("INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (%s, %s, 3)", (video, user))
    # All at once, so that several find them uncounted: two rate again, two are new, two only read.
    await asyncio.gather(
        instances[0].rate(video, users[0], 1),
        instances[1].rate(video, users[1], 5),
        instances[0].rate(video, uuid4(), 4),
        instances[1].rate(video, uuid4(), 4),
        instances[0].totals(video),
        instances[1].totals(video),
    )
    assert await instances[0].totals(video) == Totals(6, 20) == rows_of(cql, video)


async def test_the_tables_may_be_emptied_while_ratings_are_written(tally: Tally, cql: Session) -> None:
    video = uuid4()
    rating = asyncio.gather(*(tally.rate(video, uuid4(), 4) for _ in range(600)))
    for _ in range(3):
        for table in ("video_ratings", "video_ratings_by_user"):
            await asyncio.to_thread(cql.execute, f"TRUNCATE {table}", timeout=30)
    await rating
    assert await tally.totals(video) == rows_of(cql, video)
    await asyncio.to_thread(cql.execute, "TRUNCATE video_ratings_by_user", timeout=30)
    assert await tally.totals(video) == Totals(0, 0)
    await tally.rate(video, uuid4(), 3)
    assert await tally.totals(video) == Totals(1, 3) == rows_of(cql, video)


async def test_totals_read_before_the_tables_were_emptied_are_not_written_after(
    database: Database, cql: Session
) -> None:
    class EmptiedBetween:
        """Empties the table between reading and the first conditional write."""

        emptied = False

        def __getattr__(self, name: str) -> Any:
            return getattr(database, name)

        async def batch_if(self, steps: Any) -> Any:
            if not self.emptied:
                self.emptied = True
                await asyncio.to_thread(cql.execute, "TRUNCATE video_ratings_by_user", timeout=30)
            return await database.batch_if(steps)

    for counted in (True, False):
        video = uuid4()
        if counted:
            await Tally(RatingsRepository(database)).rate(video, uuid4(), 5)
        else:
            cql.execute(
                "INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (%s, %s, 5)", (video, uuid4())
            )
        tally = Tally(RatingsRepository(EmptiedBetween()))
        await tally.rate(video, uuid4(), 2)
        assert await tally.totals(video) == Totals(1, 2) == rows_of(cql, video)


async def test_a_rating_is_listed_for_its_user_and_marked_when_the_number_doubles_by_the_time_of_the_answer(
    tally: Tally, cql: Session
) -> None:
    video, users = uuid4(), [uuid4() for _ in range(5)]
    for user in users:
        await tally.rate(video, user, 4)
        (listed,) = cql.execute("SELECT videoid, rating FROM user_ratings WHERE userid = %s", (user,))
        assert (listed.videoid, listed.rating) == (video, 4)
    marks = [row.level for row in cql.execute("SELECT level, videoid FROM rated_video_marks") if row.videoid == video]
    assert sorted(set(marks)) == [1, 2, 3]  # at 1, 2 and 4 ratings


async def test_whoever_rates_one_video_a_thousand_times_has_it_once_among_their_ratings(
    open_database: OpenDatabase, cql: Session
) -> None:
    instances = [Tally(RatingsRepository(await open_database(STATEMENTS))) for _ in range(2)]
    video, other, user = uuid4(), uuid4(), uuid4()
    await instances[0].rate(other, user, 3)
    await asyncio.gather(*(instances[number % 2].rate(video, user, 1 + number % 5) for number in range(1_000)))
    for rating in (1, 5, 2):
        await instances[0].rate(video, user, rating)
    rows = cql.execute("SELECT videoid, rating, changed_at FROM user_ratings WHERE userid = %s", (user,)).all()
    assert [(row.videoid, row.rating) for row in rows] == [(video, 2), (other, 3)]
    assert await instances[1].totals(video) == Totals(1, 2)


async def test_a_rating_that_replaces_one_of_yesterday_takes_a_new_place_and_is_there_once(
    tally: Tally, cql: Session
) -> None:
    video, other, user = uuid4(), uuid4(), uuid4()
    await tally.rate(video, user, 5)
    before = cql.execute("SELECT rated_at FROM user_ratings WHERE userid = %s", (user,)).one().rated_at
    yesterday = before - timedelta(days=1)
    cql.execute(
        "UPDATE video_ratings_by_user SET listed_at = %s WHERE videoid = %s AND userid = %s IF EXISTS",
        (yesterday, video, user),
    )
    cql.execute("DELETE FROM user_ratings WHERE userid = %s AND rated_at = %s", (user, before))
    cql.execute(
        "INSERT INTO user_ratings (userid, rated_at, videoid, rating) VALUES (%s, %s, %s, 5)", (user, yesterday, video)
    )
    await tally.rate(other, user, 4)
    await tally.rate(video, user, 1)
    rows = cql.execute(
        "SELECT videoid, rating, rated_at, changed_at FROM user_ratings WHERE userid = %s", (user,)
    ).all()
    assert [(row.videoid, row.rating) for row in rows] == [(video, 1), (other, 4)]
    assert rows[0].changed_at >= rows[0].rated_at > rows[1].rated_at
    await tally.restore(video)
    assert len(cql.execute("SELECT videoid FROM user_ratings WHERE userid = %s", (user,)).all()) == 2


async def test_50_000_ratings_that_other_tools_wrote_are_counted_once_for_all_who_ask(
    database: Database, cql: Session
) -> None:
    video, number = uuid4(), 50_000
    insert = cql.prepare("INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (?, ?, ?)")

    def load() -> None:
        for start in range(0, number, 1_000):
            batch = BatchStatement(BatchType.UNLOGGED)
            for each in range(start, start + 1_000):
                batch.add(insert, (video, uuid4(), 1 + each % 5))
            cql.execute(batch, timeout=60)

    class Counted:
        """Counts how often all ratings of a video are read."""

        scans = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(database, name)

        def scan(self, *values: Any) -> Any:
            self.scans += 1
            return database.scan(*values)

    await asyncio.to_thread(load)
    counted = Counted()
    tally = Tally(RatingsRepository(counted))

    async def impatient() -> Totals:
        set_time_left(0.2)
        return await tally.totals(video)

    with pytest.raises(DeadlineExceeded):
        await asyncio.create_task(impatient())
    expected = Totals(number, 3 * number)
    async with asyncio.timeout(60):
        while True:
            with suppress(ServiceError):
                assert await asyncio.gather(*(tally.totals(video) for _ in range(20))) == [expected] * 20
                break
    await tally.rate(video, uuid4(), 2)
    assert await tally.totals(video) == Totals(number + 1, 3 * number + 2)
    assert counted.scans == 1


async def test_the_counters_of_the_earlier_schema_are_kept_in_step(tally: Tally, cql: Session) -> None:
    video, user = uuid4(), uuid4()
    for rating in (1, 5):
        await tally.rate(video, user, rating)
    await asyncio.gather(*(tally.rate(video, uuid4(), 3) for _ in range(10)))
    row = cql.execute("SELECT rating_counter, rating_total FROM video_ratings WHERE videoid = %s", (video,)).one()
    assert (row.rating_counter, row.rating_total) == (11, 35)


async def test_no_rating_is_begun_after_the_deadline(tally: Tally) -> None:
    video, user = uuid4(), uuid4()

    async def late() -> None:
        set_time_left(0)
        await tally.rate(video, user, 5)

    with pytest.raises(DeadlineExceeded):
        await asyncio.create_task(late())
    assert await tally.ratings.rating_by(video, user) == 0


@pytest.fixture
async def stub_of() -> AsyncIterator[Callable[[ServiceProcess], "RatingsServiceAsyncStub"]]:
    channels: list[grpc.aio.Channel] = []

    def stub(process: ServiceProcess) -> "RatingsServiceAsyncStub":
        channels.append(grpc.aio.insecure_channel(process.address))
        return RatingsServiceStub(channels[-1])

    yield stub
    for channel in channels:
        await channel.close(None)


async def test_a_process_killed_under_load_leaves_exact_totals_and_every_answered_rating(
    start_service: Callable[..., ServiceProcess],
    stub_of: Callable[[ServiceProcess], "RatingsServiceAsyncStub"],
    tally: Tally,
    cql: Session,
) -> None:
    process = start_service("ratings")
    stub, video = stub_of(process), Uuid(value=str(uuid4()))
    answered: dict[str, int] = {}
    asked: dict[str, int] = {}
    enough = asyncio.Event()

    async def rate_on(number: int) -> None:
        while True:
            user, rating = str(uuid4()), 1 + number % 5
            asked[user] = rating
            try:
                await stub.RateVideo(
                    messages.RateVideoRequest(video_id=video, user_id=Uuid(value=user), rating=rating), timeout=10
                )
            except grpc.aio.AioRpcError:
                return
            answered[user] = rating
            if len(answered) >= 100:
                enough.set()

    calls = [asyncio.create_task(rate_on(number)) for number in range(16)]
    await asyncio.wait_for(enough.wait(), 30)
    await asyncio.to_thread(process.kill)
    await asyncio.wait_for(asyncio.gather(*calls), 30)
    video_id = UUID(video.value)
    for user, rating in answered.items():
        assert await tally.ratings.rating_by(video_id, UUID(user)) == rating
    assert await tally.totals(video_id) == rows_of(cql, video_id)
    # What a caller does whose call was cut off: the same again.
    await asyncio.gather(*(tally.rate(video_id, UUID(user), rating) for user, rating in asked.items()))
    assert await tally.totals(video_id) == Totals(len(asked), sum(asked.values())) == rows_of(cql, video_id)
