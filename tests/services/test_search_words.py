"""What is found by the words that people type: joined, split, mistyped, unfinished, with signs, excluded and quoted."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from protos import search_pb2 as messages
from protos.search_pb2_grpc import SearchServiceStub, add_SearchServiceServicer_to_server
from services.search.results import MAX_ROWS_CHECKED
from services.search.servicer import SearchServicer
from services.search.weights import FAR_MORE
from tests.services.serving import serving
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


async def names(stub: "SearchServiceAsyncStub", query: str, size: int = 100) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        request = messages.SearchVideosRequest(query=query, page_size=size, paging_state=token)
        answer = await stub.SearchVideos(request)
        found += [video.name for video in answer.videos]
        token = answer.paging_state
        if not token:
            return found


# Joined and split words


@pytest.mark.parametrize("query", ["micro services", "micro-services", "microservices", "Microservice"])
async def test_joined_and_split_words_find_each_other(
    tables: WordTables, stub: "SearchServiceAsyncStub", query: str
) -> None:
    tables.submit(a_video("Micro services"))
    tables.submit(a_video("Micro-services again"))
    tables.submit(a_video("Microservices"))
    tables.submit(a_video("Something", ["micro services"]))
    tables.submit(a_video("Anything", description="all about micro services, it says"))
    tables.submit(a_video("Services for micro breweries"))
    found = await names(stub, query)
    apart = {"Services for micro breweries"} if query.startswith("micro") and len(query) > 13 else set()
    assert set(found[:3]) == {"Micro services", "Micro-services again", "Microservices"}
    assert set(found[3:]) == {"Something", "Anything"} | apart


async def test_neighbours_that_stand_together_come_first(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    tables.submit(a_video("Data for the model"))
    tables.submit(a_video("The data model of"))
    assert await names(stub, "data model") == ["The data model of", "Data for the model"]


# Mistyped and unfinished words


async def test_a_word_that_very_few_have_is_also_looked_up_as_one_that_far_more_have(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("Casandra by mistake"))
    for number in range(FAR_MORE):
        tables.submit(a_video(f"Cassandra {number}"))
    found = await names(stub, "casandra")
    assert found[0] == "Casandra by mistake"
    assert len(found) == 1 + FAR_MORE


async def test_rare_names_one_letter_apart_stay_themselves(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    tables.submit(a_video("Jonsen"))
    tables.submit(a_video("Jensen"))
    tables.submit(a_video("Jonson"))
    for name in ("Jonsen", "Jensen", "Jonson"):
        assert await names(stub, name) == [name]


@pytest.mark.parametrize("query", ["cat", "clip18", "2018", "or", "to be or not to be"])
async def test_short_words_numbers_and_stop_words_are_not_corrected(
    tables: WordTables, stub: "SearchServiceAsyncStub", query: str
) -> None:
    for name in ("car", "cart", "clip17", "2017", "org", "oar", "bee"):
        tables.submit(a_video(name))
    assert await names(stub, query) == []


async def test_a_short_word_alone_is_not_replaced_but_beside_others_it_is(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("a strange case"))
    assert await names(stub, "café") == []
    assert await names(stub, "strange cafe") == ["a strange case"]


async def test_every_unfinished_word_is_completed(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    tables.submit(a_video("Machine learning"))
    tables.submit(a_video("Math"))
    tables.submit(a_video("Learn to cook"))
    assert (await names(stub, "mach learn"))[0] == "Machine learning"
    assert (await names(stub, "lear mach"))[0] == "Machine learning"


async def test_a_word_that_is_one_already_may_be_unfinished_where_few_are_found(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("Cassandra in production mode"))
    for number in range(2 * FAR_MORE):
        tables.submit(a_video(f"Data modeling {number}"))
    tables.submit(a_video("mode"))
    assert (await names(stub, "data mode"))[0].startswith("Data modeling")


# Words with signs


@pytest.mark.parametrize("word", ["C#", "C++", ".NET", "Node.js", "4.0", "3.11", "H&M", "CI/CD", "k8s", "🔥"])
async def test_words_with_signs_are_found_as_typed(
    tables: WordTables, stub: "SearchServiceAsyncStub", word: str
) -> None:
    tables.submit(a_video(f"All about {word} today"))
    for other in ("Vitamin C", "C", "net", "node", "Week 4", "0", "3", "11", "H", "CI", "CD", "js"):
        tables.submit(a_video(other))
    assert (await names(stub, word))[0] == f"All about {word} today"
    assert (await names(stub, word.lower()))[0] == f"All about {word} today"


async def test_signs_are_beside_the_plain_words_and_never_instead(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("2017-police-station.mp4"))
    for query in ("2017", "police", "station", "mp4", "station.mp4", "police station mp4", "2017-police-station.mp4"):
        assert await names(stub, query) == ["2017-police-station.mp4"], query
    tables.submit(a_video("station mp4"))
    assert set(await names(stub, "station.mp4")) == {"2017-police-station.mp4", "station mp4"}


async def test_a_word_with_signs_and_the_same_joined_find_each_other(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("Node.js"))
    tables.submit(a_video("NodeJS"))
    for query in ("node.js", "nodejs", "node js"):
        assert set(await names(stub, query)) == {"Node.js", "NodeJS"}, query


@pytest.mark.parametrize(
    "query",
    ["node.js", "h&m", "c#", "ci/cd", "data/data", "my_cat_at_home.mp4", "a_b.c_d.e_f", "\ufdfa" * 20 + ".\ufdfa"],
)
async def test_pages_of_words_with_signs_give_every_video_once(
    tables: WordTables, stub: "SearchServiceAsyncStub", query: str
) -> None:
    for number in range(3):
        tables.submit(a_video(f"{query} {query.replace('/', '')} number {number}"))
    found = await names(stub, query)
    assert len(found) == 3
    assert await names(stub, query, 1) == found


# Minus and quotes


async def test_signs_in_quotes_that_are_no_words_are_asked_for(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("🔥 news"))
    tables.submit(a_video("Other news"))
    assert await names(stub, '"🔥"') == ["🔥 news"]
    assert await names(stub, '"🔥" news') == ["🔥 news", "Other news"]
    assert await names(stub, '"!?"') == []


async def test_a_minus_excludes(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    tables.submit(a_video("Cassandra"))
    tables.submit(a_video("Cassandra on Kubernetes"))
    tables.submit(a_video("Cassandra elsewhere", description=f"{'word ' * 2000} kubernetes"))
    tables.submit(a_video("Cassandra with C#"))
    assert set(await names(stub, "cassandra -kubernetes")) == {"Cassandra", "Cassandra with C#"}
    assert set(await names(stub, "-kubernetes cassandra -c#")) == {"Cassandra"}
    assert set(await names(stub, 'cassandra -"on kubernetes"')) == {
        "Cassandra",
        "Cassandra elsewhere",
        "Cassandra with C#",
    }
    assert await names(stub, "-kubernetes") == ["Cassandra on Kubernetes"]
    assert len(await names(stub, "cassandra - kubernetes")) == 4
    assert await names(stub, "cassandra-kubernetes", 1) == await names(stub, "cassandra kubernetes", 1)


@pytest.mark.parametrize("excluded", ["東", "東京", "東京都", "東京都庁"])
async def test_a_minus_excludes_a_run_of_a_script_without_spaces(
    tables: WordTables, stub: "SearchServiceAsyncStub", excluded: str
) -> None:
    tables.submit(a_video("散歩 大阪"))
    tables.submit(a_video("散歩 東京都庁舎"))
    assert await names(stub, f"散歩 -{excluded}") == ["散歩 大阪"]


@pytest.mark.parametrize("size", [1, 100])
async def test_a_phrase_stands_as_it_is(tables: WordTables, stub: "SearchServiceAsyncStub", size: int) -> None:
    tables.submit(a_video("Police chase"))
    tables.submit(a_video("Chase of the police"))
    tables.submit(a_video("Police chases"))
    tables.submit(a_video("News", ["police chase"]))
    tables.submit(a_video("More", description="It was a Police-Chase."))
    assert set(await names(stub, '"police chase"', size)) == {"Police chase", "News", "More"}
    assert set(await names(stub, '"police chase" more', size)) == {"More", "News", "Police chase"}
    assert await names(stub, '"chase of the"', size) == ["Chase of the police"]
    assert await names(stub, '"polise"', size) == []
    assert len(await names(stub, '"police', size)) == 5


async def test_signs_in_quotes_must_stand_as_they_are(tables: WordTables, stub: "SearchServiceAsyncStub") -> None:
    for name in ("Learn C# today", "Learn C today", "C++", "Node JS", "Node.js", "nodejs"):
        tables.submit(a_video(name))
    assert await names(stub, '"c#"') == ["Learn C# today"]
    assert await names(stub, '"learn c#"') == ["Learn C# today"]
    assert await names(stub, '"node.js"') == ["Node.js"]
    assert set(await names(stub, "node.js", 1)) == {"Node JS", "Node.js", "nodejs"}


async def test_a_phrase_is_looked_for_in_a_bounded_number_of_rows(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    for number in range(MAX_ROWS_CHECKED + 200):
        tables.submit(a_video(f"police {number} chase"))
    before = tables.rows_read
    assert await names(stub, '"police chase"') == []
    assert MAX_ROWS_CHECKED <= tables.rows_read - before <= MAX_ROWS_CHECKED + 200


# Titles


async def test_a_title_with_the_words_comes_before_a_long_text_that_repeats_them(
    tables: WordTables, stub: "SearchServiceAsyncStub"
) -> None:
    tables.submit(a_video("Event", ["cassandra", "tutorial"], "cassandra tutorial " * 50))
    tables.submit(a_video("Cassandra tutorials, and much more that makes it a rather long title for a video"))
    assert (await names(stub, "cassandra tutorial"))[0].startswith("Cassandra tutorials")


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_videos_that_repeat_a_title_follow_behind_all_others(
    tables: WordTables, stub: "SearchServiceAsyncStub", size: int
) -> None:
    for number, (name, author, month) in enumerate(
        [("Lion day", 1, 1), ("LION day!", 1, 3), ("Lion day", 2, 2), ("A lion", 1, 1), ("Lion Day", 1, 2)]
    ):
        tables.submit(
            a_video(
                name,
                video_id=UUID(int=1000 - number),
                user_id=UUID(int=author),
                added_date=datetime(2026, month, 1),
                description=f"{number}",
            )
        )
    tables.submit(a_video("Zoo", description="a day with a lion, and many other animals"))
    found = await names(stub, "lion day", size)
    assert sorted(found[:2]) == ["LION day!", "Lion day"]
    assert set(found[2:4]) == {"A lion", "Zoo"}
    assert sorted(found[4:]) == ["Lion Day", "Lion day"]
