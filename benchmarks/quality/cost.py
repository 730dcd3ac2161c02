"""What search, suggestions and submits cost on generated videos and ratings: times through the running services, rows read by the same code here.

Times are those of one caller that waits for each answer, so they are of use only where the machine does nothing else.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID, uuid4

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.quality.counting import CountingDatabase
from benchmarks.quality.generated import SEED, GeneratedData, load, user_id, video_id
from benchmarks.quality.known_items import mistyped
from benchmarks.quality.measures import mean, percentile
from client import Services
from common.database import Database, wait_for_database
from common.settings import Settings
from common.time_slices import Pausing
from grpc_discovery import open_registry
from language.word_index import Analysis, analyse_pausing
from protos import search_pb2, suggested_videos_pb2
from protos.common_pb2 import Uuid
from services.search.query import QueryPlanner
from services.search.repository import STATEMENTS as SEARCH_STATEMENTS
from services.search.repository import SearchRepository
from services.search.results import results
from services.search.suggestions import Suggester
from services.suggested_videos.list_keeper import PageRequest
from services.suggested_videos.list_repository import ListRepository
from services.suggested_videos.recommender import Recommender
from services.suggested_videos.repository import STATEMENTS as SUGGESTED_STATEMENTS
from services.suggested_videos.repository import SuggestedVideosRepository
from services.video_catalog import index_plan
from services.video_catalog.index_plan import (
    DELETE_WORD,
    INSERT_BEGINNING,
    INSERT_SPELLING,
    INSERT_SUGGESTED_TERM,
    INSERT_WORD,
)
from services.video_catalog.repository import STATEMENTS as CATALOG_STATEMENTS
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.submissions import Submissions
from services.video_catalog.video import Submission

PAGE = 10
COMMON = 30
QUESTION_WORDS = 12
SUBMITS = 150
LONG_SUBMITS = 15
_INDEX = {INSERT_WORD, DELETE_WORD, INSERT_SPELLING, INSERT_SUGGESTED_TERM, INSERT_BEGINNING}

Ask = Callable[[str], Awaitable[Any]]


class CallKind(NamedTuple):
    """A kind of call, through the service with each of `arguments`, and by the same code here with each of `other_arguments`: others, because
    the first answer to some calls is kept.
    """

    name: str
    arguments: list[str]
    service: Ask
    here: Ask
    other_arguments: list[str]


def queries(data: GeneratedData, count: int) -> dict[str, list[str]]:
    """The queries by their kind."""
    random, common = data.random, data.words[:COMMON]

    def known() -> str:
        return next(word for word in data.draw(100) if word not in common)

    return {
        "two of the thirty most common words": [" ".join(random.sample(common, 2)) for _ in range(count)],
        "two words": [f"{known()} {known()}" for _ in range(count)],
        f"{QUESTION_WORDS} words": [" ".join(data.draw(QUESTION_WORDS)) for _ in range(count)],
        "two words, one mistyped": [f"{known()} {mistyped(known(), random)}" for _ in range(count)],
        "two words, both mistyped": [f"{mistyped(known(), random)} {mistyped(known(), random)}" for _ in range(count)],
    }


def searches(services: Services, data: GeneratedData, counting: CountingDatabase, count: int) -> list[CallKind]:
    """The calls of search."""
    repository = SearchRepository(counting)
    planner, suggester = QueryPlanner(repository), Suggester(repository)

    async def search(query: str) -> Any:
        return await services.search.SearchVideos(search_pb2.SearchVideosRequest(query=query, page_size=PAGE))

    async def search_here(query: str) -> Any:
        return await results(repository, await planner.plan(query), PAGE + 1, None)

    async def suggest(query: str) -> Any:
        request = search_pb2.GetQuerySuggestionsRequest(query=query, page_size=PAGE)
        return await services.search.GetQuerySuggestions(request)

    async def suggest_here(query: str) -> Any:
        return await suggester.suggest(query, PAGE)

    kinds = [
        CallKind(f"search: {kind}", texts, search, search_here, texts[::4])
        for kind, texts in queries(data, count).items()
    ]
    prefixes = [word[:2] for word in data.draw(count)]
    return [*kinds, CallKind("suggestions for two letters", prefixes, suggest, suggest_here, prefixes[::4])]


def recommendations(services: Services, data: GeneratedData, counting: CountingDatabase, count: int) -> list[CallKind]:
    """The calls of suggested videos, each twice: the first makes the list, the second reads the list that was kept."""
    recommender = Recommender(SuggestedVideosRepository(counting), ListRepository(counting))

    async def related(video: str) -> Any:
        request = suggested_videos_pb2.GetRelatedVideosRequest(video_id=Uuid(value=video), page_size=PAGE)
        return await services.suggested_videos.GetRelatedVideos(request, timeout=30)

    async def related_here(video: str) -> Any:
        return await recommender.related(UUID(video), None, PageRequest(PAGE, None, explain=False))

    async def for_person(person: str) -> Any:
        request = suggested_videos_pb2.GetSuggestedForUserRequest(user_id=Uuid(value=person), page_size=PAGE)
        return await services.suggested_videos.GetSuggestedForUser(request, timeout=30)

    async def for_person_here(person: str) -> Any:
        return await recommender.suggested(UUID(person), None, PageRequest(PAGE, UUID(person), explain=False))

    kinds = []
    for name, through_service, here, total, id_of in (
        ("related", related, related_here, data.videos, video_id),
        ("for a person", for_person, for_person_here, data.people, user_id),
    ):
        ids = [str(id_of(number)) for number in data.random.sample(range(total), min(count + count // 4, total))]
        service_ids, other_ids = ids[: len(ids) * 4 // 5], ids[len(ids) * 4 // 5 :]
        kinds += [
            CallKind(f"{name}: {state}", service_ids, through_service, here, other_ids)
            for state in ("made now", "kept")
        ]
    return kinds


async def measure(call: CallKind, counting: CountingDatabase) -> list[str]:
    """A row of the table: milliseconds through the service, statements and rows here."""
    seconds, statements, rows = [], [], []
    for argument in call.arguments:
        began = perf_counter()
        await call.service(argument)
        seconds.append(perf_counter() - began)
    for argument in call.other_arguments:
        before = counting.statements, counting.rows
        await call.here(argument)
        statements.append(counting.statements - before[0])
        rows.append(counting.rows - before[1])
    times = [f"{percentile(seconds, share) * 1000:.1f}" for share in (0.5, 0.95)]
    return [call.name, *times, f"{mean(statements):.0f}", f"{mean(rows):.0f}", f"{max(rows)}"]


async def submits(database: Database, data: GeneratedData) -> str:
    """A sentence about what the index adds to a submit. The same videos are written to the database with and without it, in turn."""
    submissions = {
        "with": Submissions(VideoCatalogRepository(database)),
        "without": Submissions(VideoCatalogRepository(CountingDatabase(database, frozenset(_INDEX)))),
    }
    seconds: dict[str, list[float]] = {name: [] for name in submissions}
    for number in range(SUBMITS):
        text = data.text()
        for name in sorted(submissions, reverse=number % 2 == 1):
            video = Submission(
                uuid4(), user_id(-number), *(text.name, text.description), "x", 0, "//x", frozenset(text.tags)
            )
            with patch.object(index_plan, "analyse_pausing", analyse_pausing if name == "with" else _no_words):
                began = perf_counter()
                await submissions[name].submit(video)
                seconds[name].append(perf_counter() - began)
    with_it, without = (median(seconds[name]) * 1000 for name in ("with", "without"))
    return f"submit: {with_it:.1f} ms, without the index {without:.1f} ms: it adds {with_it / without - 1:.0%} (median of {SUBMITS})"


def _no_words(*_: object) -> Pausing[Analysis]:
    """The analysis of a text by a submit that writes no index."""
    yield from ()
    return Analysis({}, frozenset(), frozenset())


async def longest_submits(database: Database, data: GeneratedData) -> list[str]:
    """A sentence for each kind of long submit: how many times an ordinary one it takes, in time and in CPU time of this process."""
    submissions = Submissions(VideoCatalogRepository(database))

    def han(length: int) -> str:
        return "".join(chr(data.random.randrange(0x4E00, 0x9FA0)) for _ in range(length))

    kinds: dict[str, Callable[[], tuple[str, str, list[str]]]] = {
        "ordinary": lambda: (data.text().name, data.text().description, data.text().tags),
        "description of 20,000 Han characters": lambda: ("name", han(20_000), []),
        "name of 1,000 Han characters": lambda: (han(1000), "", []),
        "one word of 20,000 letters": lambda: ("name", "x" * 20_000, []),
        "100 tags of 200 characters": lambda: (
            "name",
            "",
            [" ".join(data.draw(40))[:197] + f"{n}" for n in range(100)],
        ),
    }
    figures: dict[str, tuple[float, float]] = {}
    for kind, make in kinds.items():
        seconds, cpu = [], process_time()
        for _ in range(LONG_SUBMITS):
            name, description, tags = make()
            began = perf_counter()
            await submissions.submit(Submission(uuid4(), uuid4(), name, description, "x", 0, "//x", frozenset(tags)))
            seconds.append(perf_counter() - began)
        figures[kind] = median(seconds), (process_time() - cpu) / LONG_SUBMITS
    usual = figures.pop("ordinary")
    return [
        f"submit, {kind}: {median_seconds / usual[0]:.1f} times an ordinary one, CPU time {cpu_seconds / usual[1]:.1f} times"
        for kind, (median_seconds, cpu_seconds) in figures.items()
    ]


async def run(videos: int, ratings: int, loaded: bool, count: int) -> None:
    """Load the data (unless `loaded`), make the calls and print the tables."""
    data = GeneratedData(videos, ratings)
    settings = Settings.load()
    console = Console(width=110)
    statements = (*SEARCH_STATEMENTS, *SUGGESTED_STATEMENTS, *CATALOG_STATEMENTS)
    async with AsyncExitStack() as life:
        services = await life.enter_async_context(Services.from_settings())
        registry = await open_registry(settings.registry)
        life.push_async_callback(registry.close)
        if not loaded:
            began = perf_counter()
            await load(services, data)
            console.print(f"loaded in {perf_counter() - began:.0f} s")
        data.random.seed(SEED + videos)
        database = await wait_for_database(settings.cassandra, registry, statements)
        life.push_async_callback(database.close)
        counting = CountingDatabase(database)
        calls = searches(services, data, counting, count)
        calls += recommendations(services, data, counting, count) if data.people else []
        for call in calls[:1]:  # the first call of a process does more than others, so it is not counted
            await call.service(call.arguments[0])
            await call.here(call.arguments[0])
        table = Table("call", "p50 ms", "p95 ms", "statements", "rows", "rows at most")
        for call in track(calls, "calls", console=Console(stderr=True)):
            table.add_row(*await measure(call, counting))
        console.print(f"{videos:,} videos, {ratings:,} ratings")
        console.print(table)
        console.print(await submits(database, data))
        for sentence in await longest_submits(database, data):
            console.print(sentence)
