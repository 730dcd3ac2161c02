"""SuggestedVideoService over the wire, on ratings, videos and plays in dicts."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from grpc import aio

from protos import suggested_videos_pb2 as messages
from protos.common_pb2 import Uuid
from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceStub, add_SuggestedVideoServiceServicer_to_server
from services.suggested_videos.recommender import Recommender
from services.suggested_videos.servicer import SuggestedVideosServicer
from tests.services.serving import bad_fields, serving
from tests.services.suggestion_tables import SuggestionsInDicts

if TYPE_CHECKING:
    from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceAsyncStub

SOMEBODY = uuid4()


@pytest.fixture
def tables() -> SuggestionsInDicts:
    return SuggestionsInDicts()


@pytest.fixture
async def stub(tables: SuggestionsInDicts) -> AsyncIterator["SuggestedVideoServiceAsyncStub"]:
    async with serving(new_servicer(tables), add_SuggestedVideoServiceServicer_to_server) as channel:
        yield SuggestedVideoServiceStub(channel)


def new_servicer(tables: SuggestionsInDicts) -> SuggestedVideosServicer:
    return SuggestedVideosServicer(Recommender(tables, tables), "key")  # type: ignore[arg-type]  # a fake


def videos(tables: SuggestionsInDicts, count: int, *tags: str, author: UUID = SOMEBODY) -> list[UUID]:
    ids = sorted(uuid4() for _ in range(count))
    for video_id in ids:
        tables.add_video(video_id, author, f"film {video_id.hex}", tags)
    return ids


def fans(tables: SuggestionsInDicts, count: int, liked: list[UUID], disliked: list[UUID]) -> None:
    for _ in range(count):
        user_id = uuid4()
        for video_id in disliked:
            tables.rate(user_id, video_id, 1)
        for video_id in liked:
            tables.rate(user_id, video_id, 5)


async def related(
    stub: "SuggestedVideoServiceAsyncStub", video_id: UUID, size: int = 1000, token: str = ""
) -> tuple[list[UUID], str]:
    answer = await stub.GetRelatedVideos(
        messages.GetRelatedVideosRequest(video_id=Uuid(value=str(video_id)), page_size=size, paging_state=token)
    )
    return [UUID(row.video_id.value) for row in answer.videos], answer.paging_state


async def suggested(
    stub: "SuggestedVideoServiceAsyncStub", user_id: UUID, size: int = 1000, token: str = ""
) -> tuple[list[UUID], str]:
    answer = await stub.GetSuggestedForUser(
        messages.GetSuggestedForUserRequest(user_id=Uuid(value=str(user_id)), page_size=size, paging_state=token)
    )
    return [UUID(row.video_id.value) for row in answer.videos], answer.paging_state


async def to_the_end(call: Any, stub: "SuggestedVideoServiceAsyncStub", list_id: UUID, size: int) -> list[UUID]:
    rows, token = await call(stub, list_id, size)
    while token:
        page, token = await call(stub, list_id, size, token)
        assert page
        rows += page
    return list(rows)


# Related videos


async def test_videos_liked_by_the_same_people_are_related_and_come_first(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    cats, dogs = videos(tables, 4), videos(tables, 4)
    fans(tables, 8, cats, dogs)
    fans(tables, 8, dogs, cats)
    found, _ = await related(stub, cats[0])
    assert set(found[:3]) == set(cats[1:])


async def test_a_video_without_ratings_is_related_by_tags_then_words_then_its_author(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    video, both, tag, word, author, nothing = (uuid4() for _ in range(6))
    tables.add_video(video, SOMEBODY, "Sailing round Brittany", {"boats", "sea"})
    tables.add_video(both, uuid4(), "Harbours", {"boats", "sea"})
    tables.add_video(tag, uuid4(), "Waves", {"sea", "water"})
    tables.add_video(word, uuid4(), "Cheese from Brittany", {"food"})
    tables.add_video(author, SOMEBODY, "My garden", {"flowers"})
    tables.add_video(nothing, uuid4(), "Chess", {"games"})
    assert (await related(stub, video))[0] == [both, tag, word, author]


async def test_a_word_of_the_description_alone_relates_two_videos(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    one, other = uuid4(), uuid4()
    tables.add_video(one, uuid4(), "Holiday", (), "We saw a platypus.")
    tables.add_video(other, uuid4(), "Zoo", (), "The platypus lays eggs.")
    videos(tables, 3)
    assert (await related(stub, one))[0] == [other]


async def test_tags_are_compared_without_regard_to_case(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    one, other = uuid4(), uuid4()
    tables.add_video(one, uuid4(), "First", {"Jazz"})
    tables.add_video(other, uuid4(), "Second", {"jazz"})
    assert (await related(stub, one))[0] == [other]


async def test_a_video_is_never_related_to_itself_and_no_video_comes_twice(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 12, "same")
    fans(tables, 3, ids, [])
    found, _ = await related(stub, ids[5])
    assert sorted(found) == [each for each in ids if each != ids[5]]


async def test_nothing_is_related_to_an_unknown_video(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    unknown = uuid4()
    fans(tables, 3, [unknown, *videos(tables, 3)], [])
    assert await related(stub, unknown) == ([], "")


async def test_the_id_is_echoed_as_it_was_sent_and_every_field_of_a_video_is_set(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    one, other = videos(tables, 2, "same")
    sent = str(one).upper()
    answer = await stub.GetRelatedVideos(messages.GetRelatedVideosRequest(video_id=Uuid(value=sent), page_size=5))
    assert answer.video_id.value == sent
    (row,) = answer.videos
    assert (row.video_id.value, row.user_id.value) == (str(other), str(SOMEBODY))
    assert all((row.name, row.preview_image_location, row.added_date.seconds))


async def test_a_new_video_joins_a_short_list_a_second_later(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    (first,) = videos(tables, 1, "same")
    assert (await related(stub, first))[0] == []
    (second,) = videos(tables, 1, "same")
    tables.age_lists(timedelta(seconds=1.1))
    assert (await related(stub, first))[0] == [second]


async def test_a_short_list_that_comes_out_as_before_is_made_ever_less_often_and_at_least_every_ten_seconds(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    (first, *_) = videos(tables, 3, "same")
    seconds, made_at = 0.0, []
    while seconds < 120:
        before = tables.made
        await related(stub, first)
        if tables.made > before:
            made_at.append(seconds)
        tables.age_lists(timedelta(seconds=0.6))
        seconds += 0.6
    pauses = [later - earlier for earlier, later in itertools.pairwise(made_at)]
    assert pauses[0] < 2
    assert 9 < max(pauses) < 12
    assert len(pauses) < 20


async def test_a_video_that_comes_back_with_other_tags_gets_another_list_at_once(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    (first,), jazz, rock = videos(tables, 1, "jazz"), videos(tables, 60, "jazz"), videos(tables, 60, "rock")
    assert set((await related(stub, first))[0]) >= set(jazz)
    tables.add_video(first, SOMEBODY, f"film {first.hex}", {"rock"})
    assert set((await related(stub, first, 60))[0]) == set(rock)


async def test_videos_that_are_gone_leave_the_list_at_once(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 80, "same")
    await related(stub, ids[0])
    for gone in ids[1:40]:
        del tables.videos[gone]
    assert sorted((await related(stub, ids[0]))[0]) == ids[40:]


async def test_a_list_made_from_few_ratings_is_made_anew_when_there_are_many(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 80, "same")
    await related(stub, ids[0])
    fans(tables, 9, [ids[0], ids[70]], [])
    assert (await related(stub, ids[0]))[0][0] == ids[70]


async def test_a_list_that_nothing_changed_is_served_as_it_was_made(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 80, "same")
    first = await related(stub, ids[0])
    assert await related(stub, ids[0]) == first
    assert tables.made == 1


async def test_a_list_of_some_minutes_is_made_anew_behind_the_callers_back(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 80, "same")
    await related(stub, ids[0])
    tables.age_lists(timedelta(minutes=11))
    await related(stub, ids[0])
    async with asyncio.timeout(10):
        await tables.made_again.wait()


async def test_a_list_of_an_instance_whose_clock_is_ahead_is_made_anew(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 80, "same")
    await related(stub, ids[0])
    tables.age_lists(timedelta(hours=-1))
    await related(stub, ids[0])
    assert tables.made == 2


# Pages


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
async def test_pages_give_every_video_exactly_once(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts, size: int
) -> None:
    ids = videos(tables, 61, "same")
    fans(tables, 4, ids[:20], ids[20:30])
    user_id = uuid4()
    tables.rate(user_id, ids[0], 5)
    assert sorted(await to_the_end(related, stub, ids[0], size)) == ids[1:]
    assert sorted(await to_the_end(suggested, stub, user_id, size)) == ids[1:]


async def test_a_full_page_that_is_the_last_has_no_token(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 6, "same")
    found, token = await related(stub, ids[0], 5)
    assert (sorted(found), token) == (ids[1:], "")


async def test_later_pages_belong_to_the_first_though_the_list_was_made_anew(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 20, "same")
    whole, _ = await related(stub, ids[0])
    first, token = await related(stub, ids[0], 5)
    fans(tables, 9, [ids[0], whole[-1]], [])
    assert (await related(stub, ids[0]))[0][0] == whole[-1]
    assert first + (await related(stub, ids[0], 1000, token))[0] == whole


async def test_a_token_works_on_another_instance(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 9, "same")
    first, token = await related(stub, ids[0], 3)
    async with serving(new_servicer(tables), add_SuggestedVideoServiceServicer_to_server) as channel:
        rest, _ = await related(SuggestedVideoServiceStub(channel), ids[0], 100, token)
    assert sorted(first + rest) == ids[1:]


async def test_what_was_rated_between_two_pages_is_left_out_of_the_second_and_the_page_stays_full(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 31, "same")
    user_id = uuid4()
    tables.rate(user_id, ids[0], 5)
    whole, _ = await suggested(stub, user_id)
    first, token = await suggested(stub, user_id, 10)
    for video_id in whole[10:15]:
        tables.rate(user_id, video_id, 4)
    second, token = await suggested(stub, user_id, 10, token)
    assert first + second == whole[:10] + whole[15:25]
    assert token


async def test_a_token_of_another_list_or_call_is_refused(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 9, "same")
    _, token = await related(stub, ids[0], 3)
    for call, list_id, sent in (
        (related, ids[1], token),
        (suggested, ids[0], token),
        (related, ids[0], token[:-1]),
        (related, ids[0], "x" + token),
    ):
        with pytest.raises(aio.AioRpcError) as raised:
            await call(stub, list_id, 3, sent)
        assert bad_fields(raised.value) == {"paging_state"}


@pytest.mark.parametrize("size", [0, -1, 1001])
async def test_a_bad_page_size_and_a_bad_id_are_named(stub: "SuggestedVideoServiceAsyncStub", size: int) -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.GetRelatedVideos(messages.GetRelatedVideosRequest(video_id=Uuid(value="x"), page_size=size))
    assert bad_fields(raised.value) == {"video_id", "page_size"}
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.GetSuggestedForUser(messages.GetSuggestedForUserRequest(page_size=size))
    assert bad_fields(raised.value) == {"user_id", "page_size"}


# For a person


async def test_a_person_gets_what_people_of_like_taste_like(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    cats, dogs = videos(tables, 8), videos(tables, 8)
    fans(tables, 10, cats, dogs)
    fans(tables, 20, dogs, [])
    user_id = uuid4()
    for video_id in cats[:3]:
        tables.rate(user_id, video_id, 5)
    assert set((await suggested(stub, user_id))[0][:5]) == set(cats[3:])


async def test_three_ratings_tell_a_taste_though_nobody_else_rated(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    jazz, rock = videos(tables, 8, "jazz"), videos(tables, 8, "rock")
    user_id = uuid4()
    for video_id in jazz[:2]:
        tables.rate(user_id, video_id, 5)
    tables.rate(user_id, rock[0], 1)
    found, _ = await suggested(stub, user_id)
    assert set(found[:6]) == set(jazz[2:])


async def test_recent_likings_count_more(stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts) -> None:
    cats, dogs = videos(tables, 40), videos(tables, 40)
    fans(tables, 10, cats, [])
    fans(tables, 10, dogs, [])
    user_id = uuid4()
    for video_id in cats[:30] + dogs[:30]:
        tables.rate(user_id, video_id, 5)
    assert set((await suggested(stub, user_id))[0][:10]) == set(dogs[30:])


async def test_what_the_person_rated_or_submitted_is_never_suggested(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    user_id = uuid4()
    ids, own = videos(tables, 10, "same"), videos(tables, 3, "same", author=user_id)
    fans(tables, 5, ids + own, [])
    for video_id, rating in zip(ids[:5], (5, 4, 3, 2, 1), strict=True):
        tables.rate(user_id, video_id, rating)
    assert set((await suggested(stub, user_id))[0]) == set(ids[5:])


async def test_a_rating_counts_at_the_next_call(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    jazz, rock = videos(tables, 80, "jazz"), videos(tables, 80, "rock")
    user_id = uuid4()
    tables.rate(user_id, jazz[0], 5)
    assert set((await suggested(stub, user_id))[0][:20]) <= set(jazz)
    tables.rate(user_id, jazz[0], 1)
    tables.rate(user_id, rock[0], 5)
    found, _ = await suggested(stub, user_id)
    assert set(found[:20]) <= set(rock)
    assert rock[0] not in found


async def test_somebody_unknown_gets_what_is_rated_well_by_several_or_played_often_and_then_the_newest(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    loved, liked_once, hated, played, ignored = videos(tables, 5)
    fans(tables, 9, [loved], [hated])
    fans(tables, 1, [liked_once], [])
    tables.play(played, 500)
    tables.play(ignored, 0)
    found, _ = await suggested(stub, uuid4())
    assert found == [loved, played, liked_once, ignored, hated]


async def test_an_unknown_author_does_not_get_his_own_videos(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    author = uuid4()
    (own,), (other,) = videos(tables, 1, author=author), videos(tables, 1)
    fans(tables, 5, [own, other], [])
    assert (await suggested(stub, author))[0] == [other]


async def test_emptied_ratings_are_forgotten(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    cats, dogs = videos(tables, 5), videos(tables, 5)
    user_id = uuid4()
    fans(tables, 5, cats, [])
    tables.rate(user_id, cats[0], 5)
    await suggested(stub, user_id)
    tables.ratings.clear()
    fans(tables, 5, dogs, [])
    tables.age_lists(timedelta(seconds=3))
    assert set((await suggested(stub, user_id))[0][:5]) == set(dogs)


# Why


async def test_whoever_asks_is_told_why(stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts) -> None:
    jazz = videos(tables, 3, "jazz")
    fans(tables, 3, jazz, [])
    user_id = uuid4()
    tables.rate(user_id, jazz[0], 5)
    request = messages.GetSuggestedForUserRequest(user_id=Uuid(value=str(user_id)), page_size=2)
    call: Any = stub.GetSuggestedForUser(request, metadata=(("killrvideo-explain", "1"),))
    answer = await call
    told = json.loads(dict(await call.trailing_metadata())["killrvideo-explanation"])
    assert [each["video_id"] for each in told] == [row.video_id.value for row in answer.videos]
    assert all(each["because"][0][0] == str(jazz[0]) and each["tags"] == ["jazz"] for each in told)
    call = stub.GetSuggestedForUser(request)
    await call
    assert "killrvideo-explanation" not in dict(await call.trailing_metadata())


async def test_reasons_are_kept_only_for_callers_who_ask_and_a_list_without_is_made_again_for_them(
    stub: "SuggestedVideoServiceAsyncStub", tables: SuggestionsInDicts
) -> None:
    ids = videos(tables, 80, "jazz")
    found, _ = await related(stub, ids[0], 5)
    assert [reasons for rows in tables.lists.values() for _, reasons in rows.values()] == [None]
    request = messages.GetRelatedVideosRequest(video_id=Uuid(value=str(ids[0])), page_size=5)
    for _ in range(2):
        call: Any = stub.GetRelatedVideos(request, metadata=(("killrvideo-explain", "1"),))
        assert [UUID(row.video_id.value) for row in (await call).videos] == found
        told = json.loads(dict(await call.trailing_metadata())["killrvideo-explanation"])
        assert all(each["tags"] == ["jazz"] for each in told)
    assert tables.made == 2
