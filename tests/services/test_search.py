"""SearchService over the wire, on the word tables in memory."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import pytest
from grpc import aio

from common.paging import PageTokens
from language.scoring import TYPICAL
from protos import search_pb2 as messages
from protos.search_pb2_grpc import SearchServiceStub, add_SearchServiceServicer_to_server
from services.explanation import ANSWER_KEY, REQUEST_KEY
from services.search.plan import STANDS_FOR_IT, Alternative, Plan
from services.search.servicer import SearchServicer
from tests.services.serving import bad_fields, serving
from tests.services.word_tables import WordTables, a_video

if TYPE_CHECKING:
    from protos.search_pb2_grpc import SearchServiceAsyncStub


@pytest.fixture
def tables() -> WordTables:
    return WordTables()


@pytest.fixture
async def stub(tables: WordTables) -> AsyncIterator["SearchServiceAsyncStub"]:
    servicer = SearchServicer(tables, "key")  # type: ignore[arg-type]  # a fake
    async with serving(servicer, add_SearchServiceServicer_to_server) as channel:
        yield SearchServiceStub(channel)


async def names(stub: "SearchServiceAsyncStub", query: str) -> list[str]:
    answer = await stub.SearchVideos(messages.SearchVideosRequest(query=query, page_size=100))
    assert answer.query == query
    return [video.name for video in answer.videos]


async def suggestions(stub: "SearchServiceAsyncStub", query: str, size: int = 10) -> list[str]:
    answer = await stub.GetQuerySuggestions(messages.GetQuerySuggestionsRequest(query=query, page_size=size))
    assert answer.query == query
    return list(answer.suggestions)


async def test_words_of_name_tags_and_description_find_whatever_their_case_accents_and_endings(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("Café racers", ["Motor Cycles"], "Riding through Łódź"))
    tables.submit(a_video("Something else"))
    for query in ("cafe", "CAFÉ RACER", "motor cycles", "cycle", "rides lodz"):
        assert await names(stub, query) == ["Café racers"], query


async def test_name_comes_before_tag_and_tag_before_description(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("described", description="zebra"))
    tables.submit(a_video("tagged", ["zebra"]))
    tables.submit(a_video("zebra"))
    assert await names(stub, "zebra") == ["zebra", "tagged", "described"]


async def test_all_the_words_come_first_then_fewer(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    tables.submit(a_video("zebra zebra zebra", ["zebra"]))
    tables.submit(a_video("two", description="zebra and lion"))
    tables.submit(a_video("three", description="zebra, lion, and giraffe"))
    assert await names(stub, "zebra lion giraffe") == ["three", "two", "zebra zebra zebra"]


async def test_one_rare_word_comes_before_two_common_ones_but_not_before_all_the_words(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    for number in range(20):
        tables.submit(a_video(f"clip {number}", description="film, scene"))
    tables.submit(a_video("rare", description="zebra"))
    tables.submit(a_video("all", description="a long film of a scene where, among so many others, there is one zebra"))
    assert (await names(stub, "film scene zebra"))[:2] == ["all", "rare"]


async def test_rare_words_weigh_more_than_common_ones(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    for number in range(20):
        tables.submit(a_video(f"common {number}"))
    tables.submit(a_video("rare 1"))
    assert (await names(stub, "common rare"))[0] == "rare 1"


async def test_stop_words_do_not_count_unless_there_is_nothing_else(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("The Who"))
    tables.submit(a_video("The zebra"))
    assert await names(stub, "the zebra") == ["The zebra"]
    assert (await names(stub, "the who"))[0] == "The Who"


async def test_scripts_without_spaces_are_found_by_parts(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    tables.submit(a_video("東京オリンピック2020"))
    for query in ("東京", "オリンピック", "京", "2020"):
        assert await names(stub, query) == ["東京オリンピック2020"], query


@pytest.mark.parametrize("typed", ["zerba", "zebr", "zebraa", "zevra", "Zebre", "zbra", "ezbra"])
async def test_a_word_that_nothing_has_is_matched_within_one_edit(
    tables: WordTables, stub: "SearchServiceAsyncStub", typed: str
) -> None:
    tables.submit(a_video("zebra crossing"))
    assert await names(stub, typed) == ["zebra crossing"]
    assert await names(stub, f"{typed} crossing") == ["zebra crossing"]


@pytest.mark.parametrize("typed", ["vulcano", "volcan", "vlcano", "volcanoo"])
async def test_ten_thousand_misspelt_words_that_begin_alike_do_not_hide_the_right_one(
    tables: WordTables, stub: "SearchServiceAsyncStub", typed: str
) -> None:
    """With keys of six letters the first fifty of them, in the order of the alphabet, were all that was read."""
    tables.submit(a_video("volcano erupts"))
    junk = ["volca" + "".join(letters) for letters in product("abcdefghij", repeat=4)]
    for start in range(0, len(junk), 500):
        tables.submit(a_video(" ".join(junk[start : start + 500])))
    assert len(junk) == 10_000
    assert "volcano erupts" in await names(stub, typed)


async def test_of_words_within_one_edit_the_more_frequent_comes_first(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("matter"))
    for number in range(3):
        tables.submit(a_video(f"cattle {number}"))
        tables.submit(a_video(f"battle {number}"))
    tables.submit(a_video("battle 3"))
    assert [name.split()[0] for name in await names(stub, "zattle")] == ["battle"] * 4 + ["cattle"] * 3


async def test_the_last_word_is_matched_by_its_beginning_while_one_types(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("Elephants of Africa"))
    assert await names(stub, "africa eleph") == ["Elephants of Africa"]


async def test_a_video_that_is_gone_or_lost_the_word_is_not_found(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("zebra", video_id=UUID(int=5)))
    tables.submit(a_video("lion", video_id=UUID(int=5)))
    assert await names(stub, "zebra") == []
    assert await names(stub, "lion") == ["lion"]
    tables.truncate_videos()
    assert await names(stub, "lion") == []
    tables.submit(a_video("giraffe lion", video_id=UUID(int=5), added_date=datetime(2026, 2, 2)))
    assert await names(stub, "lion") == ["giraffe lion"]
    row = tables.rows[UUID(int=5)]
    tables.rows[UUID(int=5)] = replace(row, name="changed behind our back")
    assert await names(stub, "lion") == []


@pytest.mark.parametrize("size", [1, 3, 10, 24, 25, 1000])
async def test_pages_give_every_row_once_whatever_is_asked_of_which_instance(tables: WordTables, size: int) -> None:
    for number in range(24):
        tables.submit(a_video(f"zebra {number}", ["zebra"] * (number % 2), "lion " * (number % 3)))
    found: list[str] = []
    token, page_size = "", size
    while True:
        # Each page by another instance, whose statistics differ by now; and each page one larger.
        async with serving(SearchServicer(tables, "key"), add_SearchServiceServicer_to_server) as channel:  # type: ignore[arg-type]
            request = messages.SearchVideosRequest(
                query="lion zerba", page_size=min(page_size, 1000), paging_state=token
            )
            answer = await SearchServiceStub(channel).SearchVideos(request)
        found += [video.video_id.value for video in answer.videos]
        token, page_size = answer.paging_state, page_size + 1
        tables.submit(a_video(f"a stranger {page_size}", description="many other words " * 50))
        if not token:
            break
        assert len(answer.videos) == min(page_size - 1, 1000)
    assert len(found) == len(set(found)) == 24


async def test_a_token_of_another_query_is_refused(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    for _ in range(3):
        tables.submit(a_video("zebra lion"))
    token = (await stub.SearchVideos(messages.SearchVideosRequest(query="zebra", page_size=1))).paging_state
    for query, bad in (("lion", token), ("zebra", token[:-4]), ("zebra", "x")):
        with pytest.raises(aio.AioRpcError) as error:
            await stub.SearchVideos(messages.SearchVideosRequest(query=query, page_size=1, paging_state=bad))
        assert bad_fields(error.value) == {"paging_state"}


@pytest.mark.parametrize("words", [1, 3])
async def test_a_plan_for_other_words_is_refused_though_the_token_is_genuine(
    tables: WordTables, stub: "SearchServiceAsyncStub", words: int
) -> None:
    query = '"zebra lion"'
    tables.submit(a_video("zebra lion"))
    alternative = Alternative(("zebra",), 1, STANDS_FOR_IT)
    plan = Plan(((alternative,),) * words, 100, TYPICAL, ())
    token = PageTokens("key", "SearchVideos", tuple).write(query, (0, 0, 1, UUID(int=1), plan.to_text()))
    with pytest.raises(aio.AioRpcError) as error:
        await stub.SearchVideos(messages.SearchVideosRequest(query=query, page_size=1, paging_state=token))
    assert bad_fields(error.value) == {"paging_state"}


@pytest.mark.parametrize(
    ("query", "size", "bad"),
    [("", 1, "query"), (" \n", 1, "query"), ("x" * 501, 1, "query"), ("x", 0, "page_size"), ("x", 1001, "page_size")],
)
async def test_bad_input_is_refused(stub: "SearchServiceAsyncStub", query: str, size: int, bad: str) -> None:
    with pytest.raises(aio.AioRpcError) as error:
        await stub.SearchVideos(messages.SearchVideosRequest(query=query, page_size=size))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert bad_fields(error.value) == {bad}


async def test_a_page_costs_one_round_of_postings_and_one_of_rows(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    for number in range(30):
        tables.submit(a_video(f"zebra {number}"))
    before = tables.read_rounds
    await stub.SearchVideos(messages.SearchVideosRequest(query="zebra crossing 1", page_size=10))
    token = (await stub.SearchVideos(messages.SearchVideosRequest(query="zebra", page_size=10))).paging_state
    first = tables.read_rounds - before
    await stub.SearchVideos(messages.SearchVideosRequest(query="zebra", page_size=10, paging_state=token))
    assert tables.read_rounds - before - first == 2


async def test_who_asks_why_is_told_in_the_trailing_metadata(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("zebra crossing"))
    request = messages.SearchVideosRequest(query="zebras", page_size=1)
    call: Any = stub.SearchVideos(request, metadata=((REQUEST_KEY, "1"),))
    (video,) = (await call).videos
    (reason,) = json.loads(dict(await call.trailing_metadata())[ANSWER_KEY])
    assert reason["video_id"] == video.video_id.value
    assert [each["word"] for each in reason["words"]] == ["zebra"]
    assert reason["score"] == pytest.approx(sum(each["weight"] for each in reason["words"]))
    plain: Any = stub.SearchVideos(request)
    await plain
    assert ANSWER_KEY not in dict(await plain.trailing_metadata())


async def test_suggestions_for_police_pop_and_top(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    tables.submit(a_video("a video", ["police", "pop", "top"]))
    assert await suggestions(stub, "po") == ["police", "pop"]
    assert await suggestions(stub, " PO ") == ["police", "pop"]
    assert await suggestions(stub, "po", 1) == ["police"]
    assert await suggestions(stub, "  ") == []


async def test_suggestions_are_words_of_names_and_tags_and_whole_tags_but_no_stop_words(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("Then Théâtre", ["Theme Park", "the"], "theory"))
    assert await suggestions(stub, "th") == ["theme", "theme park", "théâtre"]


async def test_suggestions_of_vanished_and_renamed_videos_are_not_given(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("zebra", ["zoo one"]))
    tables.submit(a_video("zebra lion", video_id=UUID(int=5)))
    tables.submit(a_video("lion", video_id=UUID(int=5)))
    assert await suggestions(stub, "z") == ["zebra", "zoo", "zoo one"]
    tables.truncate_videos()
    tables.submit(a_video("zinc"))
    assert await suggestions(stub, "z") == ["zinc"]


async def test_suggestions_stand_behind_many_that_vanished(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    for number in range(100):
        tables.submit(a_video(f"zeb{number:03d}"))
    tables.truncate_videos()
    tables.submit(a_video("zebra"))
    assert await suggestions(stub, "z", 2) == ["zebra"]
