"""What suggestions are made from, and the lists that are made, on the real Cassandra."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cassandra.cluster import Cluster

from common.database import Database, Statement, Write
from common.ids import cassandra_uuid_order
from common.ring_sample import RING_START
from common.timestamps import now
from infra.cassandra import Cassandra
from services.suggested_videos.list_keeper import PageRequest
from services.suggested_videos.list_repository import POPULAR, ListName, ListRepository, ListRow
from services.suggested_videos.popular import popular_list
from services.suggested_videos.recommender import Recommender
from services.suggested_videos.refresh import REFRESH_STATEMENTS, refresh_part, ring_part
from services.suggested_videos.repository import CONTENTS, SuggestedVideosRepository

OpenDatabase = Callable[[Iterable[Statement]], Awaitable[Database]]

# What the services that own these tables write.
VIDEO = Write(
    "INSERT INTO videos (videoid, userid, name, tags, description, added_date, preview_image_location) VALUES (?, ?, ?, ?, ?, ?, '//p')"
)
TAG = Write("INSERT INTO videos_by_tag (tag, videoid) VALUES (?, ?)")
NEWEST_TAG = Write("INSERT INTO newest_videos_by_tag (tag, added_date, videoid) VALUES (?, ?, ?)")
WORD = Write("INSERT INTO video_words (word, weight, added_ms, videoid, counts) VALUES (?, ?, 0, ?, 0)")
LOGGED = Write("INSERT INTO user_ratings (userid, rated_at, videoid, rating) VALUES (?, ?, ?, ?)")
RATING = Write("INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (?, ?, ?)")
SUMS = Write("UPDATE video_ratings_by_user SET ratings_count = ?, ratings_total = ? WHERE videoid = ?")
RATED_MARK = Write("INSERT INTO rated_video_marks (minute, level, videoid) VALUES (?, ?, ?)")
PLAYED_MARK = Write("INSERT INTO played_video_marks (minute, level, videoid) VALUES (?, ?, ?)")
PLAY = Write("UPDATE video_playback_stats SET views = views + 1 WHERE videoid = ?", idempotent=False)
FORGET_CANDIDATES = Write("DELETE FROM popular_candidates WHERE list = 0")
LATEST = Write("INSERT INTO latest_videos (yyyymmdd, added_date, videoid) VALUES (?, ?, ?)")
OTHERS = (LATEST, VIDEO, TAG, NEWEST_TAG, WORD, LOGGED, RATING, SUMS, RATED_MARK, PLAYED_MARK, PLAY, FORGET_CANDIDATES)


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database([*REFRESH_STATEMENTS, *OTHERS])


@pytest.fixture
def repository(database: Database) -> SuggestedVideosRepository:
    return SuggestedVideosRepository(database)


@pytest.fixture
def lists(database: Database) -> ListRepository:
    return ListRepository(database)


async def new_video(database: Database, *tags: str) -> UUID:
    video_id = uuid4()
    await database.write(VIDEO, video_id, uuid4(), f"video {video_id.hex}", set(tags), "text", now())
    for tag in tags:
        await database.write(TAG, tag, video_id)
    return video_id


async def rate(database: Database, video_id: UUID, ratings: dict[UUID, int]) -> None:
    for user_id, rating in ratings.items():
        await database.write(RATING, video_id, user_id, rating)
        await database.write(LOGGED, user_id, now(), video_id, rating)
    await database.write(SUMS, len(ratings), sum(ratings.values()), video_id)


async def test_only_videos_that_exist_are_shown_and_compared(
    database: Database, repository: SuggestedVideosRepository
) -> None:
    video, gone = await new_video(database, "jazz"), uuid4()
    assert set(await repository.previews([gone, video])) == {video}
    assert (await repository.contents([gone, video]))[video].tags == {"jazz"}
    assert (await repository.described([gone, video]))[video].description == "text"
    assert await repository.previews([]) == {}


async def test_the_newest_videos_of_some_days_are_read_newest_first(
    database: Database, repository: SuggestedVideosRepository
) -> None:
    days, ids = [date(1990, 1, day) for day in (1, 2, 3)], [uuid4() for _ in range(9)]
    for number, video_id in enumerate(ids):
        added = datetime(1990, 1, 1 + number // 3, number)
        await database.write(LATEST, f"{added:%Y%m%d}", added, video_id)
    rows = await repository.newest(days[1:], 2)
    assert {row.added_date.date(): [] for row in rows} == {days[1]: [], days[2]: []}
    assert [row.video_id for row in rows if row.added_date.date() == days[2]] == [ids[8], ids[7]]
    assert [row.video_id for row in rows if row.added_date.date() == days[1]] == [ids[5], ids[4]]
    assert await repository.newest([], 2) == []


async def test_the_ring_of_videos_is_walked_from_its_start_to_its_end(
    database: Database, repository: SuggestedVideosRepository
) -> None:
    ours = {await new_video(database, "jazz") for _ in range(5)}
    found, after = [], RING_START
    while rows := await repository.on_ring(after, 7):
        assert [row.token for row in rows] == sorted(row.token for row in rows)
        assert rows[0].token > after
        found += rows
        after = rows[-1].token
    assert len({row.video_id for row in found}) == len(found)
    assert {row.video_id for row in found if row.tags == {"jazz"}} >= ours


async def test_a_person_who_rated_nearly_everything_gets_what_is_left_on_cassandra(
    database: Database, repository: SuggestedVideosRepository, lists: ListRepository
) -> None:
    user = uuid4()
    left = [await new_video(database) for _ in range(3)]
    after, others = RING_START, []
    while rows := await repository.on_ring(after, 200):
        others += [row.video_id for row in rows if row.video_id not in left and row.added_date is not None]
        after = rows[-1].token
    for video_id in others:
        await database.write(RATING, video_id, user, 2)
    await database.write(LOGGED, user, now(), others[0] if others else uuid4(), 2)
    recommender, found = Recommender(repository, lists), []
    page = await recommender.suggested(user, None, PageRequest(2, user, explain=False))
    while True:
        assert page.videos
        found += [row.video_id for row in page.videos]
        if page.next is None:
            break
        page = await recommender.suggested(user, page.next, PageRequest(2, user, explain=False))
    assert sorted(found) == sorted(left)


async def test_ratings_of_a_person_come_newest_first(database: Database, repository: SuggestedVideosRepository) -> None:
    user, other = uuid4(), uuid4()
    videos, began = [uuid4() for _ in range(5)], now()
    for at, video in enumerate(videos):
        await database.write(LOGGED, user, began + timedelta(milliseconds=at), video, 4)
    await database.write(LOGGED, other, began, videos[0], 2)
    assert [row.video_id for row in await repository.rated_by(user, 3)] == videos[:1:-1]
    assert await repository.newest_rating(user) == began + timedelta(milliseconds=4)
    assert await repository.newest_rating(uuid4()) is None
    rows = await repository.rated_by_each([user, other, uuid4()], 2)
    assert [(row.video_id, row.rating) for row in rows if row.user_id == user] == [(videos[4], 4), (videos[3], 4)]
    assert [(row.video_id, row.rating) for row in rows if row.user_id == other] == [(videos[0], 2)]


async def test_the_same_people_are_sampled_of_every_video(
    database: Database, repository: SuggestedVideosRepository
) -> None:
    one, other = uuid4(), uuid4()
    people = sorted((uuid4() for _ in range(12)), key=cassandra_uuid_order)
    for video in (one, other):
        await rate(database, video, dict.fromkeys(people, 5))
    rows = await repository.ratings_of([one, other], 4)
    assert [row.user_id for row in rows if row.video_id == one] == people[:4]
    assert [row.user_id for row in rows if row.video_id == other] == people[:4]


async def test_own_ratings_and_totals_are_found_for_many_videos_at_once(
    database: Database, repository: SuggestedVideosRepository
) -> None:
    user, rated, unrated = uuid4(), uuid4(), uuid4()
    await rate(database, rated, {user: 3, uuid4(): 5})
    await database.write(SUMS, 0, 0, unrated)
    asked = [rated, unrated, *(uuid4() for _ in range(500))]
    assert await repository.own_ratings(user, asked) == {rated: 3}
    totals = await repository.totals(asked)
    assert set(totals) == {rated}
    assert (totals[rated].ratings, totals[rated].total) == (2, 8)
    assert await repository.ratings_of([unrated], 5) == []


async def test_videos_are_found_by_tags_and_words(database: Database, repository: SuggestedVideosRepository) -> None:
    tag, word = f"tag {uuid4().hex}", uuid4().hex
    tagged = [await new_video(database, tag) for _ in range(3)]
    best, worse = uuid4(), uuid4()
    await database.write(WORD, word, 100, worse)
    await database.write(WORD, word, 300, best)
    assert {row.video_id for row in await repository.tagged([tag, "no such tag"], 10)} == set(tagged)
    assert [row.video_id for row in await repository.with_words([word], 1)] == [best]
    assert await repository.tagged([], 10) == []


async def test_the_newest_videos_of_a_popular_tag_are_found_and_the_same_old_ones_for_every_tag(
    database: Database, repository: SuggestedVideosRepository
) -> None:
    tag, began = uuid4().hex, now()
    by_age = [uuid4() for _ in range(30)]
    for at, video in enumerate(by_age):
        await database.write(TAG, tag, video)
        await database.write(NEWEST_TAG, tag, began + timedelta(milliseconds=at), video)
    found = [row.video_id for row in await repository.tagged([tag], 5)]
    assert found[:5] == by_age[:-6:-1]
    assert set(found[5:]) == {*sorted(by_age, key=cassandra_uuid_order)[:5]} - {*found[:5]}
    assert len(await repository.tagged([tag], 31)) == 30


async def test_what_is_popular_is_found_by_its_marks_and_kept(
    database: Database, repository: SuggestedVideosRepository, lists: ListRepository
) -> None:
    rated, played, minute = await new_video(database), await new_video(database), now().replace(second=0, microsecond=0)
    await database.write(RATED_MARK, minute, 3, rated)
    await database.write(PLAYED_MARK, minute - timedelta(minutes=70), 4, played)
    minutes = [minute - timedelta(minutes=back) for back in range(90)]
    assert {rated, played} <= await repository.with_events(minutes, 200)
    await database.write(PLAY, played)
    assert (await repository.plays([rated, played])) == {played: 1}
    await lists.keep_candidates([rated, played], minute - timedelta(minutes=1))
    await lists.keep_candidates([rated], minute)
    assert await lists.candidates() == ({rated}, minute)


class Counted:
    """Passes everything on to a database, and counts how many videos' contents are asked for."""

    def __init__(self, database: Database) -> None:
        self._database, self.asked = database, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def select(self, statement: Any, *values: Any) -> Any:
        if statement is CONTENTS:
            self.asked += len(values[0])
        return await self._database.select(statement, *values)


async def test_a_first_look_at_a_day_of_marks_reads_a_bounded_number_of_videos_and_finds_the_best(
    database: Database, repository: SuggestedVideosRepository, lists: ListRepository
) -> None:
    minute, best = now().replace(second=0, microsecond=0), await new_video(database)
    await rate(database, best, {uuid4(): 5 for _ in range(20)})
    await database.write(RATED_MARK, minute - timedelta(hours=23), 60, best)
    marks = [
        (RATED_MARK, (minute - timedelta(minutes=5 * at), 1 + at % 3, uuid4())) for at in range(280) for _ in range(10)
    ]
    for start in range(0, len(marks), 200):
        await database.batch(marks[start : start + 200])
    counted = Counted(database)
    await database.write(FORGET_CANDIDATES)
    made = await popular_list(SuggestedVideosRepository(counted), lists)
    assert best in made.video_ids
    assert counted.asked <= 2_800
    assert best in (await lists.candidates())[0]


async def test_the_popular_list_leaves_no_tombstones_and_lives_an_hour(
    database: Database, lists: ListRepository, cassandra: Cassandra
) -> None:
    timestamp = now()
    for at in range(100):
        made_at = timestamp + timedelta(milliseconds=at)
        await lists.save_list(POPULAR, ListRow(made_at, made_at, "", [], 0, [uuid4()]), None)
        await lists.keep_candidates([uuid4() for _ in range(20)], made_at)
    cluster = Cluster([cassandra.host], port=cassandra.port)
    session = cluster.connect("killrvideo")
    for query in (
        "SELECT made_at, TTL(videoids) FROM suggestion_lists WHERE kind = 'popular' AND id = 00000000-0000-0000-0000-000000000000",
        "SELECT videoids FROM popular_candidates WHERE list = 0",
    ):
        answer = await asyncio.to_thread(session.execute, query, trace=True)
        told = " ".join(event.description for event in answer.get_query_trace(10).events)
        (tombstones,) = re.findall(r"and (\d+) tombstone", told)
        assert int(tombstones) <= 1  # one row of candidates was deleted by a test
        assert all(row[1] <= 3600 for row in answer if len(row) == 2)
    cluster.shutdown()


async def test_a_list_older_than_lists_live_is_not_looked_for(lists: ListRepository) -> None:
    name, yesterday = ListName("related", uuid4()), now() - timedelta(days=1, minutes=1)
    await lists.save_list(name, ListRow(yesterday, yesterday, "a", [], 0, [uuid4()]), None)
    assert await lists.newest_list(name) is None
    assert await lists.list_made_at(name, yesterday) is not None


async def test_lists_are_kept_side_by_side_and_the_newest_is_found(lists: ListRepository) -> None:
    name, timestamp = ListName("related", uuid4()), now()
    older = ListRow(timestamp, timestamp, "a", [uuid4()], 3, [uuid4(), uuid4()], 1)
    newer = older._replace(made_at=timestamp + timedelta(milliseconds=1), video_ids=[])
    await lists.save_list(name, newer, None)
    assert await lists.reasons(name, newer.made_at) is None
    await lists.save_list(name, older, '{"x":{}}')
    assert await lists.list_made_at(name, older.made_at) == older
    newest = await lists.newest_list(name)
    assert newest is not None
    assert (newest.made_at, newest.video_ids) == (newer.made_at, [])
    assert await lists.reasons(name, older.made_at) == '{"x":{}}'
    assert await lists.newest_list(ListName("suggested", name.of)) is None


async def test_one_instance_at_a_time_refreshes_a_list(lists: ListRepository) -> None:
    name = ListName("related", uuid4())
    assert sum(await asyncio.gather(*(lists.claim(name, uuid4()) for _ in range(5)))) == 1


async def test_a_list_is_made_kept_and_paged_through_on_cassandra(
    database: Database, repository: SuggestedVideosRepository, lists: ListRepository
) -> None:
    tag, people = uuid4().hex, [uuid4() for _ in range(6)]
    videos = [await new_video(database, tag) for _ in range(6)]
    for video in videos[:4]:
        await rate(database, video, dict.fromkeys(people, 5))
    recommender, user = Recommender(repository, lists), uuid4()
    await rate(database, videos[0], {**dict.fromkeys(people, 5), user: 5})
    first = await recommender.suggested(user, None, PageRequest(2, user, explain=True))
    assert {row.video_id for row in first.videos} < set(videos[1:4])
    assert set(first.reasons) >= {str(row.video_id) for row in first.videos}
    assert first.next is not None
    rest = await Recommender(repository, lists).suggested(user, first.next, PageRequest(1000, user, explain=False))
    found = [row.video_id for row in (*first.videos, *rest.videos)]
    assert set(found) >= set(videos[1:])
    assert len(found) == len(set(found))
    assert videos[0] not in found


async def test_refresh_makes_every_list_of_its_part_of_the_ring(database: Database, lists: ListRepository) -> None:
    tag, user = uuid4().hex, uuid4()
    videos = [await new_video(database, tag) for _ in range(3)]
    for video in videos[:2]:
        await rate(database, video, {user: 5})
        await database.write(SUMS, 10**6, 5 * 10**6, video)  # among those rated most, whatever other tests left
    for number in (1, 2, 3):
        await refresh_part(database, *ring_part(number, 3))
    for video in videos[:2]:
        related = await lists.newest_list(ListName("related", video))
        assert related is not None
        assert set(related.video_ids or []) >= {*videos} - {video}
    minute = now().replace(second=0, microsecond=0)
    assert {*videos[:2]} <= await SuggestedVideosRepository(database).with_events(
        [minute - timedelta(minutes=back) for back in range(3)], 1_000
    )
    suggested = await lists.newest_list(ListName("suggested", user))
    assert suggested is not None
    assert videos[2] in (suggested.video_ids or [])


def test_parts_of_the_ring_are_the_whole_ring_and_none_twice() -> None:
    for of in (1, 2, 3, 7, 256):
        parts = [ring_part(number, of) for number in range(1, of + 1)]
        assert (parts[0][0], parts[-1][1]) == (-(2**63), 2**63 - 1)
        assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(parts))
