"""What each call costs while the data grow: `python -m benchmarks.growth data`.

Loads whole videos (rows, lists, tags, words, spellings), comments and ratings, and calls the servicers themselves. Words follow Zipf's law, as
those of people do: the commonest is in nearly every video. Prints the time of each call and how many rows it read.
"""

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import import_module
from statistics import median
from typing import Any
from uuid import UUID, uuid1, uuid4

from rich.console import Console
from rich.table import Table

from benchmarks.data_load import Load
from common.database import Database, Select
from common.database.interface import Row
from common.settings import Settings
from protos import (
    comments_pb2,
    ratings_pb2,
    search_pb2,
    suggested_videos_pb2,
    video_catalog_pb2,
)
from protos.common_pb2 import TimeUuid, Uuid

SIZES = (1_000, 10_000, 100_000)
PAGE = 10
REPEATS, UNTIMED = 30, 5
SLUGS = ("video_catalog", "search", "comments", "ratings", "suggested_videos")
SECONDS_OF_A_CALL = 60.0


class CountingDatabase:
    """Passes everything on to a database, and counts the rows that it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def select(self, statement: Select[Row], *values: Any) -> list[Row]:
        """All rows of one statement."""
        rows = await self._database.select(statement, *values)
        self.rows += len(rows)
        return rows

    async def select_one(self, statement: Select[Row], *values: Any) -> Row | None:
        """The first row, or None."""
        row = await self._database.select_one(statement, *values)
        self.rows += row is not None
        return row

    async def scan(self, statement: Select[Row], *values: Any) -> AsyncIterator[Row]:
        """The rows of a statement that may have very many."""
        async for row in self._database.scan(statement, *values):
            self.rows += 1
            yield row


class Caller:
    """What the servicers ask of the context of a call."""

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """No metadata."""
        return ()

    def time_remaining(self) -> float:
        """Seconds until the deadline."""
        return SECONDS_OF_A_CALL


async def growth_table(database: Database, settings: Settings, sizes: Sequence[int], console: Console) -> Table:
    """Load more and more, and measure all calls at each of the sizes (videos)."""
    counting = CountingDatabase(database)
    load = Load(database)
    rows: dict[str, list[str]] = {}
    table = Table(title="Median of a call (ms), and the rows that it read")
    table.add_column("call")
    for size in sizes:
        began = time.perf_counter()
        await load.grow(size, lambda done: console.print(f"[dim]{done:,} videos", highlight=False))
        console.print(f"{size:,} videos and {load.ratings:,} ratings after {time.perf_counter() - began:.0f} s more")
        # New servicers: what they remember is of the data before.
        servicers = {slug: _service(slug).build(counting, settings) for slug in SLUGS}
        table.add_column(f"{size:,} ms", justify="right")
        table.add_column("rows", justify="right")
        for name, (slug, request) in _calls(load).items():
            milliseconds, read = await _measure(counting, getattr(servicers[slug], name.split(",")[0]), request)
            rows.setdefault(name, []).extend((f"{milliseconds:,.1f}", f"{read:,}"))
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def all_statements() -> list[Any]:
    """The statements of the services that are measured."""
    return [statement for slug in SLUGS for statement in _service(slug).statements]


def _service(slug: str) -> Any:
    return import_module(f"services.{slug}.service").SERVICE


async def _measure(database: CountingDatabase, call: Any, request: Any) -> tuple[float, int]:
    """The median time of a call in milliseconds, and the largest number of rows that it read once all was warm."""
    times, most = [], 0
    for number in range(UNTIMED + REPEATS):
        message = request()
        database.rows, began = 0, time.perf_counter()
        await call(message, Caller())
        if number >= UNTIMED:
            times.append((time.perf_counter() - began) * 1000)
            most = max(most, database.rows)
    return median(times), most


Calls = dict[str, tuple[str, Callable[[], Any]]]
"""By the name of the call, and what it asks for after a comma: the service, and what makes a request."""


def _calls(load: Load) -> Calls:
    return _catalog_calls(load) | _search_calls(load) | _calls_of_people(load)


def _catalog_calls(load: Load) -> Calls:
    def ten() -> list[Uuid]:
        return [_any(load.videos) for _ in range(PAGE)]

    requests: dict[str, Callable[[], Any]] = {
        "GetVideo": lambda: video_catalog_pb2.GetVideoRequest(video_id=_any(load.videos)),
        "GetVideoPreviews, ten": lambda: video_catalog_pb2.GetVideoPreviewsRequest(video_ids=ten()),
        "GetLatestVideoPreviews": lambda: video_catalog_pb2.GetLatestVideoPreviewsRequest(page_size=PAGE),
        "GetUserVideoPreviews": lambda: video_catalog_pb2.GetUserVideoPreviewsRequest(
            user_id=_any(load.users), page_size=PAGE
        ),
        "SubmitYouTubeVideo, new": lambda: _submission(load, uuid4()),
        "SubmitYouTubeVideo, again": lambda: _submission(load, load.resubmitted),
    }
    return {name: ("video_catalog", request) for name, request in requests.items()}


def _search_calls(load: Load) -> Calls:
    def query(text: str) -> tuple[str, Callable[[], Any]]:
        return "search", lambda: search_pb2.SearchVideosRequest(query=text, page_size=PAGE)

    def beginning(text: str) -> tuple[str, Callable[[], Any]]:
        return "search", lambda: search_pb2.GetQuerySuggestionsRequest(query=text, page_size=PAGE)

    words = load.words
    return {
        "SearchVideos, the commonest word": query(words[0]),
        "SearchVideos, two common words": query(f"{words[1]} {words[2]}"),
        "SearchVideos, a rare word": query(load.rare),
        "SearchVideos, mistyped": query(load.mistyped),
        "GetQuerySuggestions, one letter": beginning(words[0][0]),
        "GetQuerySuggestions, two": beginning(words[0][:2]),
        "GetQuerySuggestions, four": beginning(words[0][:4]),
    }


def _calls_of_people(load: Load) -> Calls:
    hit = Uuid(value=str(load.videos[0]))

    def comment() -> Any:
        comment_id = TimeUuid(value=str(uuid1()))
        return comments_pb2.CommentOnVideoRequest(
            video_id=hit, user_id=_any(load.users), comment_id=comment_id, comment="one more"
        )

    def rating() -> Any:
        return ratings_pb2.RateVideoRequest(video_id=hit, user_id=_any(load.users), rating=random.randint(1, 5))

    def related(video_id: Uuid) -> Any:
        return suggested_videos_pb2.GetRelatedVideosRequest(video_id=video_id, page_size=PAGE)

    def suggested() -> Any:
        return suggested_videos_pb2.GetSuggestedForUserRequest(user_id=_any(load.users), page_size=PAGE)

    def comments() -> Any:
        return comments_pb2.GetVideoCommentsRequest(video_id=hit, page_size=PAGE)

    return {
        "GetVideoComments, a hit": ("comments", comments),
        "CommentOnVideo, a hit": ("comments", comment),
        "GetRating, a hit": ("ratings", lambda: ratings_pb2.GetRatingRequest(video_id=hit)),
        "RateVideo, a hit": ("ratings", rating),
        "GetRelatedVideos, new list": ("suggested_videos", lambda: related(_any(load.videos))),
        "GetRelatedVideos, kept list": ("suggested_videos", lambda: related(hit)),
        "GetSuggestedForUser, new list": ("suggested_videos", suggested),
    }


def _any(ids: Sequence[UUID]) -> Uuid:
    return Uuid(value=str(random.choice(ids)))


def _submission(load: Load, video_id: UUID) -> Any:
    video = load.video(video_id)
    return video_catalog_pb2.SubmitYouTubeVideoRequest(
        video_id=Uuid(value=str(video_id)),
        user_id=Uuid(value=str(load.users[0])),
        name=video.name,
        description=video.description,
        tags=sorted(video.tags),
        you_tube_video_id="abcdefghijk",
    )
