"""What search, suggestions and submits cost on generated videos and ratings: times through the running services, rows read by the same code here.

Times are those of one caller that waits for each answer, so they are of use only where the machine does nothing else.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.quality.counting import Counted
from benchmarks.quality.generated import SEED, World, load, user_id, video_id
from benchmarks.quality.known_items import mistyped
from benchmarks.quality.measures import mean, percentile
from client import Services
from common.database import Database, wait_for_database
from common.settings import Settings
from grpc_discovery import open_registry
from language.word_index import analyse
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
from services.video_catalog.index_plan import DELETE_WORD, INSERT_SPELLING, INSERT_SUGGESTED_WORD, INSERT_WORD
from services.video_catalog.repository import STATEMENTS as CATALOG_STATEMENTS
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.submissions import Submissions
from services.video_catalog.video import Submission

PAGE = 10
COMMON = 30
QUESTION_WORDS = 12
SUBMITS = 150
_INDEX = {INSERT_WORD, DELETE_WORD, INSERT_SPELLING, INSERT_SUGGESTED_WORD}

Ask = Callable[[str], Awaitable[Any]]


class Asked(NamedTuple):
    """A kind of call: what it is asked with, how the service is asked, and the same here; `others`, where the first answer is kept, for that."""

    name: str
    with_these: list[str]
    service: Ask
    here: Ask
    others: list[str]


def questions(world: World, count: int) -> dict[str, list[str]]:
    """By kind of question: what is asked."""
    chance, common = world.chance, world.words[:COMMON]

    def known() -> str:
        return next(word for word in world.drawn(100) if word not in common)

    return {
        "two of the thirty most common words": [" ".join(chance.sample(common, 2)) for _ in range(count)],
        "two words": [f"{known()} {known()}" for _ in range(count)],
        f"{QUESTION_WORDS} words": [" ".join(world.drawn(QUESTION_WORDS)) for _ in range(count)],
        "two words, one mistyped": [f"{known()} {mistyped(known(), chance)}" for _ in range(count)],
        "two words, both mistyped": [f"{mistyped(known(), chance)} {mistyped(known(), chance)}" for _ in range(count)],
    }


def searches(services: Services, world: World, counted: Counted, count: int) -> list[Asked]:
    """The calls of search."""
    repository = SearchRepository(counted)
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

    found = [
        Asked(f"search: {kind}", asked, search, search_here, asked[::4])
        for kind, asked in questions(world, count).items()
    ]
    beginnings = [word[:2] for word in world.drawn(count)]
    return [*found, Asked("suggestions for two letters", beginnings, suggest, suggest_here, beginnings[::4])]


def recommendations(services: Services, world: World, counted: Counted, count: int) -> list[Asked]:
    """The calls of suggested videos, each twice: first the list is made, then it is kept."""
    recommender = Recommender(SuggestedVideosRepository(counted), ListRepository(counted))

    async def related(of: str) -> Any:
        request = suggested_videos_pb2.GetRelatedVideosRequest(video_id=Uuid(value=of), page_size=PAGE)
        return await services.suggested_videos.GetRelatedVideos(request, timeout=30)

    async def related_here(of: str) -> Any:
        return await recommender.related(UUID(of), None, PageRequest(PAGE, None, explain=False))

    async def for_person(of: str) -> Any:
        request = suggested_videos_pb2.GetSuggestedForUserRequest(user_id=Uuid(value=of), page_size=PAGE)
        return await services.suggested_videos.GetSuggestedForUser(request, timeout=30)

    async def for_person_here(of: str) -> Any:
        return await recommender.suggested(UUID(of), None, PageRequest(PAGE, UUID(of), explain=False))

    found = []
    for name, one, here, most, name_of in (
        ("related", related, related_here, world.videos, video_id),
        ("for a person", for_person, for_person_here, world.people, user_id),
    ):
        ids = [str(name_of(number)) for number in world.chance.sample(range(most), min(count + count // 4, most))]
        asked, others = ids[: len(ids) * 4 // 5], ids[len(ids) * 4 // 5 :]
        found += [Asked(f"{name}: {state}", asked, one, here, others) for state in ("made now", "kept")]
    return found


async def measured(call: Asked, counted: Counted) -> list[str]:
    """A row of the table: milliseconds through the service, statements and rows here."""
    seconds, statements, rows = [], [], []
    for each in call.with_these:
        began = perf_counter()
        await call.service(each)
        seconds.append(perf_counter() - began)
    for each in call.others:
        before = counted.statements, counted.rows
        await call.here(each)
        statements.append(counted.statements - before[0])
        rows.append(counted.rows - before[1])
    times = [f"{percentile(seconds, share) * 1000:.1f}" for share in (0.5, 0.95)]
    return [call.name, *times, f"{mean(statements):.0f}", f"{mean(rows):.0f}", f"{max(rows)}"]


async def submits(database: Database, world: World) -> str:
    """What the index adds to a submit: the same videos with it and without it, in turn, straight into the database."""
    submissions = {
        "with": Submissions(VideoCatalogRepository(database)),
        "without": Submissions(VideoCatalogRepository(Counted(database, frozenset(_INDEX)))),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*submissions, "analysis")}
    for number in range(SUBMITS):
        text = world.text()
        began = perf_counter()
        analyse(*text)
        seconds["analysis"].append(perf_counter() - began)
        for name in sorted(submissions, reverse=number % 2 == 1):
            video = Submission(
                uuid4(), user_id(-number), *(text.name, text.description), "x", 0, "//x", frozenset(text.tags)
            )
            began = perf_counter()
            await submissions[name].submit(video)
            seconds[name].append(perf_counter() - began)
    with_it, without, analysis = (median(seconds[name]) * 1000 for name in ("with", "without", "analysis"))
    bare = without - analysis  # both take the text apart
    return f"submit: {with_it:.1f} ms, without the index {bare:.1f} ms: it adds {with_it / bare - 1:.0%} (median of {SUBMITS})"


async def run(videos: int, ratings: int, loaded: bool, count: int) -> None:
    """Load (unless that was done before), ask and print."""
    world = World(videos, ratings)
    settings = Settings.load()
    console = Console(width=110)
    statements = (*SEARCH_STATEMENTS, *SUGGESTED_STATEMENTS, *CATALOG_STATEMENTS)
    async with AsyncExitStack() as life:
        services = await life.enter_async_context(Services.from_settings())
        registry = await open_registry(settings.registry)
        life.push_async_callback(registry.close)
        if not loaded:
            began = perf_counter()
            await load(services, world)
            console.print(f"loaded in {perf_counter() - began:.0f} s")
        world.chance.seed(SEED + videos)
        database = await wait_for_database(settings.cassandra, registry, statements)
        life.push_async_callback(database.close)
        counted = Counted(database)
        calls = searches(services, world, counted, count)
        calls += recommendations(services, world, counted, count) if world.people else []
        for call in calls[:1]:  # what only the first call of a process does is not what a call costs
            await call.service(call.with_these[0])
            await call.here(call.with_these[0])
        table = Table("call", "p50 ms", "p95 ms", "statements", "rows", "rows at most")
        for call in track(calls, "calls", console=Console(stderr=True)):
            table.add_row(*await measured(call, counted))
        console.print(f"{videos:,} videos, {ratings:,} ratings")
        console.print(table)
        console.print(await submits(database, world))
