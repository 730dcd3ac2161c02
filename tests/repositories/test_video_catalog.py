"""Videos on the real Cassandra: one entry whoever submits at once, agreeing tables, and nothing half written."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cassandra.cluster import Cluster, Session

from common.database import Database, Statement
from common.errors import Unavailable
from common.timestamps import now
from grpc_discovery import AlreadyExists
from infra.cassandra import Cassandra
from services.search.query import QueryPlanner
from services.search.repository import STATEMENTS as SEARCH_STATEMENTS
from services.search.repository import SearchRepository
from services.search.results import results
from services.search.suggestions import Suggester
from services.video_catalog.index_plan import MAX_BATCH_BYTES, Step
from services.video_catalog.latest import latest_videos
from services.video_catalog.repository import STATEMENTS, ListKey, Start, VideoCatalogRepository
from services.video_catalog.submissions import Submissions
from services.video_catalog.video import Submission, Video
from tests.repositories.crashing import Killed, KilledAt

RESUBMITS = 30

OpenDatabase = Callable[[Iterable[Statement]], Awaitable[Database]]


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database((*STATEMENTS, *SEARCH_STATEMENTS))


@pytest.fixture
async def videos(database: Database) -> VideoCatalogRepository:
    return VideoCatalogRepository(database)


@pytest.fixture
async def submissions(videos: VideoCatalogRepository) -> Submissions:
    return Submissions(videos)


@pytest.fixture
def cql(cassandra: Cassandra) -> Iterator[Session]:
    """A session behind the service's back."""
    cluster = Cluster([cassandra.host], port=cassandra.port)
    yield cluster.connect("killrvideo")
    cluster.shutdown()


def submission(name: str = "a name", **more: Any) -> Submission:
    fields: dict[str, Any] = {
        "video_id": uuid4(),
        "user_id": uuid4(),
        "description": "",
        "location": "x",
        "location_type": 0,
        "preview_image_location": "//p",
        "tags": frozenset(),
        **more,
    }
    return Submission(name=name, **fields)


def word() -> str:
    """A word that no other video has, of letters only, and without an ending that would be taken off."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex[:13]) + "k"  # which is no ending


async def found(database: Database, query: str) -> list[UUID]:
    repository = SearchRepository(database)
    planned = await QueryPlanner(repository).plan(query)
    return [result.row.video_id for result in await results(repository, planned, 10, None)]


def dates(cql: Session, video_id: UUID, user_id: UUID) -> list[datetime]:
    """The added_date of a video in `videos` and in every entry of the two lists."""
    first = [row.added_date for row in cql.execute("SELECT added_date FROM videos WHERE videoid = %s", (video_id,))]
    of_user = cql.execute("SELECT added_date, videoid FROM user_videos WHERE userid = %s", (user_id,))
    latest = cql.execute("SELECT added_date, videoid FROM latest_videos")
    return [*first, *(row.added_date for rows in (of_user, latest) for row in rows if row.videoid == video_id)]


async def test_sixteen_submits_at_once_are_one_entry_and_agree_on_the_date(
    submissions: Submissions, database: Database, cql: Session
) -> None:
    others = [submissions, Submissions(VideoCatalogRepository(database))]
    one = submission()
    await asyncio.gather(*(others[number % 2].submit(one) for number in range(16)))
    assert len(dates(cql, one.video_id, one.user_id)) == 3
    assert len(set(dates(cql, one.video_id, one.user_id))) == 1
    assert not list(cql.execute("SELECT claim FROM video_claims WHERE videoid = %s", (one.video_id,)))


async def test_of_two_users_who_submit_the_same_id_at_once_one_wins(
    videos: VideoCatalogRepository, submissions: Submissions, cql: Session
) -> None:
    one = submission("first")
    other = replace(one, user_id=uuid4(), name="second")
    outcomes = await asyncio.gather(submissions.submit(one), submissions.submit(other), return_exceptions=True)
    (lost,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(lost, AlreadyExists)
    loser = (one, other)[outcomes.index(lost)]
    video = await videos.video(one.video_id)
    assert video is not None
    assert video.user_id != loser.user_id
    assert not await videos.of_user(loser.user_id, 5, None)


async def test_submitting_again_keeps_date_and_place_and_leaves_nothing_of_the_old(
    videos: VideoCatalogRepository, submissions: Submissions, database: Database, cql: Session
) -> None:
    old, new, tag = word(), word(), word()
    one = submission(old, tags=frozenset({tag, "kept"}), description=f"about {old}")
    await submissions.submit(one)
    before = await videos.video(one.video_id)
    await submissions.submit(replace(one, name=new, tags=frozenset({"kept"}), description=""))
    after = await videos.video(one.video_id)
    assert before is not None
    assert after is not None
    assert (after.name, after.tags, after.added_date) == (new, frozenset({"kept"}), before.added_date)
    assert set(dates(cql, one.video_id, one.user_id)) == {before.added_date}
    assert not list(cql.execute("SELECT videoid FROM videos_by_tag WHERE tag = %s", (tag,)))
    assert not list(cql.execute("SELECT videoid FROM newest_videos_by_tag WHERE tag = %s", (tag,)))
    for gone in (old, tag):
        assert not list(cql.execute("SELECT videoid FROM video_words WHERE word = %s", (gone,)))
        assert not await found(database, gone)
        assert not await Suggester(SearchRepository(database)).suggest(gone, 5)
    assert await found(database, new) == [one.video_id]


async def test_the_newest_videos_of_a_tag_are_its_first_rows(submissions: Submissions, cql: Session) -> None:
    tag, submitted = word(), [submission() for _ in range(5)]
    for each in submitted:
        await submissions.submit(replace(each, tags=frozenset({tag})))
    await submissions.submit(replace(submitted[3], name="again", tags=frozenset({tag})))
    rows = cql.execute("SELECT videoid, userid FROM newest_videos_by_tag WHERE tag = %s LIMIT 3", (tag,))
    assert [tuple(row) for row in rows] == [(each.video_id, each.user_id) for each in submitted[:1:-1]]


async def test_of_several_forms_submitted_at_once_only_the_last_leaves_traces(
    videos: VideoCatalogRepository, submissions: Submissions, database: Database, cql: Session
) -> None:
    one, words = submission(), [word() for _ in range(6)]
    forms = [replace(one, name=each, tags=frozenset({f"{each}t"}), description=f"{each}d") for each in words]
    await asyncio.gather(*map(submissions.submit, forms))
    video = await videos.video(one.video_id)
    assert video is not None
    (last,) = [form for form in forms if form.name == video.name]
    assert (video.tags, video.description) == (last.tags, last.description)
    assert [row.name for row in await videos.of_user(one.user_id, 5, None)] == [last.name]
    for each in words:
        traces = list(cql.execute("SELECT videoid FROM videos_by_tag WHERE tag = %s", (f"{each}t",)))
        for trace in (each, f"{each}t", f"{each}d"):
            traces += cql.execute("SELECT videoid FROM video_words WHERE word = %s", (trace,))
        assert bool(traces) == (each == last.name)


async def test_after_truncate_the_same_ids_start_anew(
    videos: VideoCatalogRepository, submissions: Submissions, database: Database, cql: Session
) -> None:
    old, new = word(), word()
    one = submission(old, tags=frozenset({old}))
    await submissions.submit(one)
    before = await videos.video(one.video_id)
    for table in ("videos", "user_videos", "latest_videos", "videos_by_tag", "tags_by_letter"):
        cql.execute(f"TRUNCATE {table}")
    assert not await found(database, old)
    assert not await Suggester(SearchRepository(database)).suggest(old, 5)
    again = replace(one, user_id=uuid4(), name=f"{new} x", tags=frozenset())
    await submissions.submit(again)
    after = await videos.video(one.video_id)
    assert before is not None
    assert after is not None
    assert after.added_date > before.added_date
    assert set(dates(cql, again.video_id, again.user_id)) == {after.added_date}
    assert not await found(database, old)
    assert await found(database, new) == [one.video_id]
    assert await Suggester(SearchRepository(database)).suggest(new, 5) == [new]


async def test_another_users_video_stays_as_it_is(videos: VideoCatalogRepository, submissions: Submissions) -> None:
    one = submission("mine")
    await submissions.submit(one)
    before = await videos.video(one.video_id)
    with pytest.raises(AlreadyExists):
        await submissions.submit(replace(one, user_id=uuid4(), name="taken over"))
    assert await videos.video(one.video_id) == before
    await submissions.submit(one)  # and no claim was left behind


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("after", [False, True])
async def test_a_submit_that_was_killed_anywhere_shows_nothing_or_all_and_is_completed_by_repeating_it(
    database: Database, cql: Session, number: int, after: bool
) -> None:
    name = word()
    one = submission(name, tags=frozenset({f"{name}t"}), description=f"{word()} told")
    with pytest.raises(Killed):
        await Submissions(VideoCatalogRepository(KilledAt(database, number, after))).submit(one)  # type: ignore[arg-type]  # it passes everything on
    assert len(dates(cql, one.video_id, one.user_id)) in (0, 3)
    assert len(await found(database, name)) == (1 if dates(cql, one.video_id, one.user_id) else 0)
    await Submissions(VideoCatalogRepository(database)).submit(one)
    assert len(dates(cql, one.video_id, one.user_id)) == 3
    assert len(set(dates(cql, one.video_id, one.user_id))) == 1
    assert await found(database, name) == [one.video_id]


@pytest.mark.parametrize("letter", ["d", "é", "名", "🎬"])
async def test_the_largest_video_is_written_in_batches_that_any_cluster_takes(
    videos: VideoCatalogRepository, submissions: Submissions, database: Database, cql: Session, letter: str
) -> None:
    told = word()
    one = submission(
        letter * 1000,
        description=f"{told} {letter * 9000} {' '.join(f'{letter}{number}' for number in range(1500))}"[:19_900],
        tags=frozenset(f"{number:03d}{letter * 197}" for number in range(100)),
        location=letter * 1000,
    )
    await submissions.submit(one)
    video = await videos.video(one.video_id)
    assert video is not None
    assert (video.description, video.tags) == (one.description, one.tags)
    assert await found(database, told) == [one.video_id]
    assert MAX_BATCH_BYTES < 50 * 1024
    renamed = replace(one, name="short", description="", tags=frozenset())
    await submissions.submit(renamed)
    assert not await found(database, told)


async def test_videos_of_one_date_are_each_listed_once_whatever_the_page(
    videos: VideoCatalogRepository, cql: Session
) -> None:
    user_id, timestamp = uuid4(), now()
    rows = [(timestamp - timedelta(milliseconds=number // 5), uuid4()) for number in range(17)]
    for when, video_id in rows:
        cql.execute(
            "INSERT INTO user_videos (userid, added_date, videoid, name, preview_image_location) VALUES (%s, %s, %s, 'n', 'p')",
            (user_id, when, video_id),
        )
    whole = [(row.added_date, UUID(row.video_id)) for row in await videos.of_user(user_id, 100, None)]
    assert sorted(whole) == sorted(rows)
    for size in (1, 2, 3, 5, 16):
        paged: list[tuple[datetime, UUID]] = []
        start: Start | None = None
        while page := await videos.of_user(user_id, size, start):
            paged += [(row.added_date, UUID(row.video_id)) for row in page]
            start = Start(ListKey(*paged[-1]), inclusive=False)
        assert paged == whole, size
    for start, expected in (
        (Start(ListKey(*whole[7]), inclusive=True), whole[7:]),
        (Start(ListKey(*whole[7]), inclusive=False), whole[8:]),
        (Start(ListKey(whole[7][0], None), inclusive=True), [row for row in whole if row[0] <= whole[7][0]]),
    ):
        rest = await videos.of_user(user_id, 100, start)
        assert [UUID(row.video_id) for row in rest] == [video_id for _, video_id in expected]


async def test_the_latest_walk_back_over_days_without_videos_to_the_end_of_the_window(
    videos: VideoCatalogRepository, cql: Session
) -> None:
    cql.execute("TRUNCATE latest_videos")
    rows = []
    for days in (0, 0, 0, 1, 7, 20, 20, 29, 40):
        timestamp = now() - timedelta(days=days)
        rows.append((timestamp, uuid4()))
        cql.execute(
            "INSERT INTO latest_videos (yyyymmdd, added_date, videoid, userid, name, preview_image_location)"
            " VALUES (%s, %s, %s, %s, 'n', 'p')",
            (f"{timestamp:%Y%m%d}", *rows[-1], uuid4()),
        )
    whole = [(row.added_date, UUID(row.video_id)) for row in await latest_videos(videos, 100, 30, None)]
    assert sorted(whole) == sorted(rows[:-1])
    assert [when for when, _ in whole] == sorted((when for when, _ in whole), reverse=True)
    for size in (1, 2, 3, 7):
        paged: list[tuple[datetime, UUID]] = []
        start: Start | None = None
        while page := await latest_videos(videos, size, 30, start):
            paged += [(row.added_date, UUID(row.video_id)) for row in page]
            start = Start(ListKey(*paged[-1]), inclusive=False)
        assert paged == whole, size
    assert len(await latest_videos(videos, 100, 50, None)) == 9
    assert not await latest_videos(videos, 100, 30, Start(ListKey(*rows[-1]), inclusive=True))


async def test_added_dates_of_one_process_rise(videos: VideoCatalogRepository, submissions: Submissions) -> None:
    several = [submission() for _ in range(20)]
    await asyncio.gather(*(submissions.submit(each) for each in several))
    given = [video.added_date for each in several if (video := await videos.video(each.video_id))]
    assert len(set(given)) == 20


async def test_no_added_date_is_a_whole_second(
    videos: VideoCatalogRepository, submissions: Submissions, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = now().replace(microsecond=0)
    monkeypatch.setattr("services.video_catalog.submissions.now", lambda: whole)
    several = [submission() for _ in range(2)]
    for each in several:
        await submissions.submit(each)
    given = [video.added_date - whole for each in several if (video := await videos.video(each.video_id))]
    assert given == [timedelta(milliseconds=1), timedelta(milliseconds=2)]


async def test_everything_is_restored_from_the_row_alone(
    submissions: Submissions, database: Database, cql: Session
) -> None:
    name = word()
    one = submission(name, tags=frozenset({f"{name}t"}))
    await submissions.submit(one)
    for table in (
        "video_words",
        "spellings_by_key",
        "suggested_terms",
        "suggested_beginnings",
        "videos_by_tag",
        "tags_by_letter",
        "user_videos",
        "latest_videos",
    ):
        cql.execute(f"TRUNCATE {table}")
    assert not await found(database, name)
    assert await Submissions(VideoCatalogRepository(database)).restore(one.video_id)
    assert len(dates(cql, one.video_id, one.user_id)) == 3
    assert await found(database, name) == [one.video_id]
    assert await found(database, name[:-1]) == [one.video_id]
    assert await Suggester(SearchRepository(database)).suggest(name, 5) == [name, f"{name}t"]
    assert not await submissions.restore(uuid4())


class AtHour(VideoCatalogRepository):
    """An instance that takes Cassandra's clock to be some hours ahead (or behind), and so writes with such timestamps."""

    hours = 1

    async def now_us(self) -> int:
        return await super().now_us() + self.hours * 3_600_000_000


async def test_whoever_submits_last_wins_everywhere_whatever_their_clocks_say(
    videos: VideoCatalogRepository, database: Database, cql: Session
) -> None:
    one = submission(description=f"{word()} told")
    former: Submission | None = None
    for hours in (1, 0, -1, 1):
        instance = AtHour(database)
        instance.hours = hours
        name = word()
        form = replace(one, name=name, tags=frozenset({f"{name}t"}), description=f"{word()} told")
        await Submissions(instance).submit(form)
        video = await videos.video(one.video_id)
        assert video is not None
        assert (video.name, video.tags, video.description) == (form.name, form.tags, form.description)
        assert [row.name for row in await videos.of_user(one.user_id, 5, None)] == [name]
        latest = await latest_videos(videos, 1000, 1, None)
        assert [row.name for row in latest if row.video_id == str(one.video_id)] == [name]
        tagged = cql.execute("SELECT name FROM videos_by_tag WHERE tag = %s", (f"{name}t",))
        assert [row.name for row in tagged] == [name]
        assert await found(database, name) == await found(database, f"{name}t") == [one.video_id]
        if former:
            for gone in (former.name, *former.tags, former.description.split()[0]):
                assert not list(cql.execute("SELECT videoid FROM videos_by_tag WHERE tag = %s", (gone,)))
                assert not list(cql.execute("SELECT videoid FROM video_words WHERE word = %s", (gone,)))
        former = form


async def test_what_is_restored_does_not_overtake_what_is_submitted_meanwhile(
    videos: VideoCatalogRepository, submissions: Submissions, database: Database, cql: Session
) -> None:
    old, new = word(), word()
    one = submission(old, tags=frozenset({f"{old}t"}))
    await submissions.submit(one)

    class Overtaken(VideoCatalogRepository):
        """Between the reading of the row and the writing of the lists, another form of the video is submitted."""

        async def stored(self, video_id: UUID) -> tuple[Video | None, int]:
            read = await super().stored(video_id)
            await submissions.submit(replace(one, name=new, tags=frozenset()))
            return read

    assert await Submissions(Overtaken(database)).restore(one.video_id)
    assert [row.name for row in await videos.of_user(one.user_id, 5, None)] == [new]
    for gone in (old, f"{old}t"):
        assert not list(cql.execute("SELECT videoid FROM videos_by_tag WHERE tag = %s", (gone,)))
        assert not list(cql.execute("SELECT videoid FROM video_words WHERE word = %s", (gone,)))


class Slow(VideoCatalogRepository):
    """Takes long to write what goes before the row; meanwhile something happens."""

    async def write_apart(
        self, steps: Sequence[Step], timestamp_us: int | None = None, at_once: int = 4, parts: int = 1
    ) -> None:
        await super().write_apart(steps, timestamp_us, at_once, parts)
        if timestamp_us and steps:
            await self.meanwhile()

    async def meanwhile(self) -> None:
        raise NotImplementedError


async def test_a_submit_that_takes_longer_than_its_claim_does_not_write_over_somebody_elses_video(
    videos: VideoCatalogRepository,
    submissions: Submissions,
    database: Database,
    cql: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.video_catalog.submissions.MAX_UNRENEWED_SECONDS", 0.0)
    one = submission("first")
    other = replace(one, user_id=uuid4(), name="second")

    class Outlived(Slow):
        async def meanwhile(self) -> None:
            cql.execute("DELETE FROM video_claims WHERE videoid = %s IF EXISTS", (one.video_id,))
            await submissions.submit(other)

    with pytest.raises(Unavailable, match="claim"):
        await Submissions(Outlived(database)).submit(one)
    video = await videos.video(one.video_id)
    assert video is not None
    assert (video.name, video.user_id) == ("second", other.user_id)
    assert not await videos.of_user(one.user_id, 5, None)


async def test_a_submit_that_takes_long_keeps_its_claim_and_one_that_fails_gives_it_up(
    database: Database, submissions: Submissions, cql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.video_catalog.submissions.MAX_UNRENEWED_SECONDS", 0.0)
    one = submission()
    claims = "SELECT claim, TTL(claim) AS seconds FROM video_claims WHERE videoid = %s"
    kept: list[Any] = []

    class Watched(Slow):
        async def meanwhile(self) -> None:
            kept.append(cql.execute(claims, (one.video_id,)).one())
            cql.execute(  # as if most of its minute were over
                "UPDATE video_claims USING TTL 20 SET claim = %s WHERE videoid = %s IF EXISTS",
                (kept[0].claim, one.video_id),
            )

        async def write_together(self, steps: Sequence[Step], timestamp_us: int) -> None:
            kept.append(cql.execute(claims, (one.video_id,)).one())
            await super().write_together(steps, timestamp_us)

    class Failing(Slow):
        async def meanwhile(self) -> None:
            raise Unavailable("the database is away")

    with pytest.raises(Unavailable, match="away"):
        await Submissions(Failing(database)).submit(one)
    assert not list(cql.execute(claims, (one.video_id,)))
    await Submissions(Watched(database)).submit(one)
    before, after = kept[:2]
    assert before.claim == after.claim
    assert after.seconds > 20
    assert not list(cql.execute(claims, (one.video_id,)))


async def test_a_claim_that_a_crash_left_is_taken_over_with_its_date(
    videos: VideoCatalogRepository, submissions: Submissions, cql: Session
) -> None:
    one, date = submission(), now() - timedelta(seconds=50)
    await videos.claim(one.video_id, uuid4(), one.user_id, date)
    await submissions.submit(one)
    assert set(dates(cql, one.video_id, one.user_id)) == {date}
    assert not list(cql.execute("SELECT claim FROM video_claims WHERE videoid = %s", (one.video_id,)))


async def test_suggestions_for_one_letter_come_from_all_beginnings_in_order(
    submissions: Submissions, database: Database, cql: Session
) -> None:
    for table in ("suggested_terms", "suggested_beginnings", "videos"):
        cql.execute(f"TRUNCATE {table}")
    second = [chr(ord("a") + number) for number in range(20)]
    names = [f"q{letter}{rest}" for letter in second for rest in ("zz", "ab")]
    await submissions.submit(submission(" ".join(names[:20])))
    await submissions.submit(submission(" ".join(names[20:]), tags=frozenset({"q", "q tag", "r"})))
    for number in range(0x21, 0x40):  # beginnings without a term: a submit that crashed, or tables that were emptied
        cql.execute("INSERT INTO suggested_beginnings (first_letter, beginning) VALUES ('q', %s)", (f"q{chr(number)}",))
    suggester, expected = Suggester(SearchRepository(database)), sorted(["q", "q tag", *names])
    for limit in (1, 7, 41, 42, 100):
        assert await suggester.suggest("Q", limit) == expected[:limit]
    assert await suggester.suggest("qc", 5) == ["qcab", "qczz"]
    assert await suggester.suggest("qcz", 5) == ["qczz"]


READERS = (
    ("SELECT name, description, tags FROM videos WHERE videoid = %s", "video_id"),
    ("SELECT videoid FROM user_videos WHERE userid = %s", "user_id"),
    ("SELECT videoid FROM videos_by_tag WHERE tag = %s", "word"),
    ("SELECT videoid FROM newest_videos_by_tag WHERE tag = %s", "word"),
    ("SELECT videoid FROM video_words WHERE word = %s", "word"),
    ("SELECT word FROM spellings_by_key WHERE key = %s", "key"),
    ("SELECT term FROM suggested_terms WHERE beginning = %s", "beginning"),
    ("SELECT beginning FROM suggested_beginnings WHERE first_letter = %s", "letter"),
)


async def test_submitting_the_same_again_leaves_no_tombstones_to_read(submissions: Submissions, cql: Session) -> None:
    each = word()
    one = submission(each, tags=frozenset({each, f"{each} z"}), description=f"about {each}")
    for _ in range(RESUBMITS):
        await submissions.submit(one)
    values = {**vars(one), "word": each, "key": each[:12], "beginning": each[:2], "letter": each[0]}
    day = cql.execute("SELECT added_date FROM videos WHERE videoid = %s", (one.video_id,)).one().added_date
    of_day = ("SELECT videoid FROM latest_videos WHERE yyyymmdd = %s", f"{day:%Y%m%d}")
    for statement, value in [(cql_text, values[name]) for cql_text, name in READERS] + [of_day]:
        answer = cql.execute(statement, (value,), trace=True)
        assert answer.all(), statement
        events = [event.description for event in answer.get_query_trace(max_wait_sec=30).events]
        read = [event for event in events if "tombstone cells" in event]
        assert read, events
        assert all("and 0 tombstone cells" in event for event in read), (statement, read)


async def test_a_row_that_is_only_half_a_video_is_none(
    videos: VideoCatalogRepository, submissions: Submissions, cql: Session
) -> None:
    one = submission()
    cql.execute("INSERT INTO videos (videoid, description) VALUES (%s, 'half')", (one.video_id,))
    assert await videos.video(one.video_id) is None
    assert await videos.previews([one.video_id]) == {}
    await submissions.submit(one)
    assert set(await videos.previews([one.video_id])) == {one.video_id}


async def test_a_claim_whose_answer_was_lost_is_known_as_ours(database: Database, cql: Session) -> None:
    one = submission()
    lost = ClaimAnswersLost(database)
    await Submissions(VideoCatalogRepository(lost)).submit(one)
    assert lost.lost == 2
    assert len(dates(cql, one.video_id, one.user_id)) == 3
    assert not list(cql.execute("SELECT claim FROM video_claims WHERE videoid = %s", (one.video_id,)))


class ClaimAnswersLost:
    """Passes everything on to `database`, but loses the answers of the first two lightweight transactions: applied, and nobody knows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write_if(self, statement: Any, *values: Any) -> Any:
        outcome = await self._database.write_if(statement, *values)
        if self.lost < 2:
            self.lost += 1
            raise Unavailable("the answer was lost")
        return outcome
