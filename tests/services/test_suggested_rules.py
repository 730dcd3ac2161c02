"""The rules of lists, over the wire, on videos, ratings and plays in dicts: nothing is empty while a video is left, rare words count, series are
near, and the same talk stands once.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from common.timestamps import now
from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceStub, add_SuggestedVideoServiceServicer_to_server
from services.suggested_videos.ranked_list import MAX_LISTED
from tests.services.serving import serving
from tests.services.suggestion_tables import SuggestionsInDicts
from tests.services.test_suggested_videos import (
    SOMEBODY,
    fans,
    new_servicer,
    related,
    suggested,
    to_the_end,
    videos,
)

if TYPE_CHECKING:
    from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceAsyncStub


@pytest.fixture
def tables() -> SuggestionsInDicts:
    return SuggestionsInDicts()


@pytest.fixture
async def stub(tables: SuggestionsInDicts) -> AsyncIterator["SuggestedVideoServiceAsyncStub"]:
    async with serving(new_servicer(tables), add_SuggestedVideoServiceServicer_to_server) as channel:
        yield SuggestedVideoServiceStub(channel)


def titled(tables: SuggestionsInDicts, name: str, *tags: str, author: UUID = SOMEBODY) -> UUID:
    video_id = uuid4()
    tables.add_video(video_id, author, name, tags)
    return video_id


def added(tables: SuggestionsInDicts, video_id: UUID, date: datetime) -> None:
    tables.videos[video_id] = tables.videos[video_id]._replace(added_date=date)


# Never empty


async def test_nobody_rated_or_played_anything_and_everybody_gets_the_newest_videos(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    oldest_first = [titled(tables, f"film {number}") for number in range(20)]
    assert (await suggested(stub, uuid4(), 10))[0] == oldest_first[:9:-1]


async def test_the_order_is_for_the_person_then_rated_well_then_played_then_newest(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    liked, alike = titled(tables, "Ax", "jazz"), titled(tables, "Bix", "jazz")
    well_rated, played, old, new = (titled(tables, name, author=uuid4()) for name in ("Cox", "Dux", "Ex", "Fax"))
    fans(tables, 9, [well_rated], [])
    tables.play(played, 3)
    user_id = uuid4()
    tables.rate(user_id, liked, 5)
    assert (await suggested(stub, user_id))[0] == [alike, well_rated, played, new, old]


async def test_ratings_without_events_are_found_among_the_newest_videos(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    loved, *_ = videos(tables, 30)
    fans(tables, 5, [loved], [])
    tables.events.clear()  # as where another tool loaded the ratings
    assert (await suggested(stub, uuid4(), 10))[0][0] == loved
    assert tables.kept_popular == {loved}


@pytest.mark.parametrize("listed", [True, False])
async def test_a_site_whose_newest_video_is_years_old_shows_its_newest_videos_also_where_no_day_lists_them(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts, *, listed: bool
) -> None:
    ids = [titled(tables, f"film {number}") for number in range(25)]
    for number, video_id in enumerate(ids):
        added(tables, video_id, datetime(2014, 5, 1) + timedelta(days=number))
    if not listed:
        tables.unlisted = set(ids)
    assert (await suggested(stub, uuid4(), 10))[0] == ids[:-11:-1]


async def test_a_site_whose_videos_were_all_added_on_one_day_some_time_ago_shows_the_newest_of_them_in_their_order(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids, began = [titled(tables, f"film {number}") for number in range(500)], now() - timedelta(days=9)
    for number, video_id in enumerate(ids):
        added(tables, video_id, began.replace(hour=3) + timedelta(minutes=number))
    assert (await suggested(stub, uuid4(), MAX_LISTED))[0] == ids[: -MAX_LISTED - 1 : -1]


async def test_more_old_videos_than_are_sampled_are_found_by_the_days_of_the_sample(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = [titled(tables, f"film {number}") for number in range(900)]
    for number, video_id in enumerate(ids):
        added(tables, video_id, datetime(2014, 5, 1) + timedelta(hours=number))
    found, _ = await suggested(stub, uuid4(), 10)
    assert len({*found} & {*ids[-40:]}) == 10


async def test_a_video_submitted_a_second_ago_is_shown_on_a_fresh_site_also_to_somebody_who_rated(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    user_id, first = uuid4(), titled(tables, "First")
    tables.rate(user_id, first, 5)
    assert await suggested(stub, user_id) == ([], "")
    assert await suggested(stub, uuid4()) == ([first], "")
    second = titled(tables, "Second")
    tables.age_lists(timedelta(seconds=1.1))
    assert (await suggested(stub, user_id))[0] == [second]
    assert (await suggested(stub, uuid4()))[0][-1] == second


@pytest.mark.parametrize("rates", [True, False])
@pytest.mark.parametrize("size", [1000, 33])
async def test_whoever_rated_or_submitted_more_than_a_list_holds_still_gets_every_video_that_is_left(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts, size: int, *, rates: bool
) -> None:
    user_id = uuid4()
    left = videos(tables, 40)
    for video_id in left:
        added(tables, video_id, now() - timedelta(days=5))
    seen = videos(tables, 3 * MAX_LISTED, author=SOMEBODY if rates else user_id)
    for video_id in seen if rates else ():
        tables.rate(user_id, video_id, 2)
    assert sorted(await to_the_end(suggested, stub, user_id, size)) == left


@pytest.mark.parametrize("size", [7, 300])
async def test_pages_go_on_behind_the_list_until_every_video_was_shown_once(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts, size: int
) -> None:
    ids, user_id = videos(tables, 3 * MAX_LISTED + 11), uuid4()
    assert sorted(await to_the_end(suggested, stub, user_id, size)) == ids
    tables.rate(user_id, ids[0], 5)
    assert sorted(await to_the_end(suggested, stub, user_id, size)) == ids[1:]


async def test_no_video_is_left_and_the_list_is_empty(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    user_id = uuid4()
    assert await suggested(stub, user_id) == ([], "")
    videos(tables, 3, author=user_id)
    for video_id in videos(tables, 3):
        tables.rate(user_id, video_id, 5)
    tables.age_lists(timedelta(seconds=2))
    assert await suggested(stub, user_id) == ([], "")


# Rarity


async def test_a_rare_word_counts_more_than_tags_that_all_videos_have(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    video = titled(tables, "Build a TikTok Clone", "astra", "datastax", "workshop", "database")
    telling = titled(tables, "Build your own TikTok Clone!", "astra", "datastax", author=uuid4())
    for number in range(80):
        titled(tables, f"Build a game {number}", "astra", "datastax", "workshop", "database", author=uuid4())
    assert (await related(stub, video))[0][0] == telling


async def test_a_rare_tag_counts_more_than_a_common_one(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    video = titled(tables, "Ax", "common", "rare")
    rare = titled(tables, "Bix", "rare", "another", author=uuid4())
    common = [titled(tables, f"Cox{number}", "common", "other", author=uuid4()) for number in range(60)]
    found = (await related(stub, video))[0]
    assert found[0] == rare
    assert {*found[1:]} == {*common}


async def test_two_words_in_common_are_a_subject_and_one_may_be_chance(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    video = titled(tables, "Storm over Lisbon", "drama")
    two = titled(tables, "Lisbon storm", "weather", author=uuid4())
    same_tag = titled(tables, "Quiet evening", "drama", author=uuid4())
    one = titled(tables, "Lisbon recipes", "food", author=uuid4())
    assert (await related(stub, video))[0] == [two, same_tag, one]


# Series


@pytest.mark.parametrize(
    "names",
    [
        ("Week 3: Tables", "Week 2: Keys", "Week 5: Drivers"),
        ("Java course, part 2", "Java course, part 3", "Java course, part 9"),
        ("Episode 12", "Episode 11", "Episode 7"),
        ("Realtime Java #5", "Realtime Java #6", "Realtime Java #2"),
        ("Bootcamp Week II!", "Bootcamp Week III", "Bootcamp week7"),
    ],
)
async def test_the_same_series_is_nearer_than_the_same_tags_and_the_next_part_nearest(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts, names: tuple[str, str, str]
) -> None:
    first, far, near = titled(tables, names[0], "a"), titled(tables, names[2], "z"), titled(tables, names[1], "z")
    others = [titled(tables, f"Talk about gardens {letter}", "z") for letter in "abcdefgh"]
    elsewhere = titled(tables, names[1], "z", author=uuid4())
    found = (await related(stub, first))[0]
    assert found[:2] == [near, far]
    assert {*others} <= {*found}
    assert elsewhere not in found[:2]


# The same talk


@pytest.mark.parametrize("kind", ["related", "suggested", "popular"])
async def test_of_the_same_talk_the_newest_keeps_its_rank_and_the_others_follow_at_the_end(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts, kind: str
) -> None:
    video, author, user_id = titled(tables, "Cats and dogs", "pets"), uuid4(), uuid4()
    talks = [
        titled(tables, name, "pets", author=author)
        for name in ("Cats & dogs: Café", "CATS, DOGS: CAFE", "cats dogs café")
    ]
    by_another = titled(tables, "Cats, dogs, cafe", "pets", author=uuid4())
    others = [titled(tables, f"Dogs {letter}", "pets", author=uuid4()) for letter in "abcdefgh"]
    fans(tables, 9, talks, [])
    if kind == "related":
        found, _ = await related(stub, video)
    else:
        if kind == "suggested":
            tables.rate(user_id, video, 5)
        found, _ = await suggested(stub, user_id)
    assert {*found} >= {*talks, *others, by_another}
    assert {*found[-2:]} == {*talks[:2]}
    assert talks[2] in found[:2]
