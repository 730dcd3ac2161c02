"""How cost grows with page depth, with the ratings of one video and with callers: `python -m benchmarks.growth HOST:PORT`.

Through the services' own repositories on a Cassandra with the schema in it. Prints tables with bars.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any
from uuid import UUID, uuid1, uuid4

import uvloop
from rich.console import Console
from rich.table import Table

from common.database import Database, connect
from common.settings import Settings
from services.comments.repository import INSERT_BY_VIDEO, CommentsRepository
from services.comments.repository import STATEMENTS as COMMENT_STATEMENTS
from services.ratings.repository import STATEMENTS as RATING_STATEMENTS
from services.ratings.repository import RatingsRepository

PAGE = 10
COMMENTS = 10_000
DEPTHS = (1, 10, 100, 500, 1000)
CALLERS = (1, 2, 4, 8, 16, 32, 64)
REPEATS = 30
BAR = 40


async def milliseconds(work: Callable[[], Awaitable[Any]]) -> float:
    """The median time of some repetitions."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


async def page_depth(database: Database) -> list[tuple[str, float]]:
    """Milliseconds of the n-th page of a long list."""
    comments, video_id = CommentsRepository(database), uuid4()
    ids = [uuid1() for _ in range(COMMENTS)]
    for at in range(0, COMMENTS, 100):
        await database.batch(
            [(INSERT_BY_VIDEO, (video_id, each, video_id, "a comment")) for each in ids[at : at + 100]]
        )
    newest_first = ids[::-1]
    found = []
    for depth in DEPTHS:
        after: UUID | None = newest_first[(depth - 1) * PAGE - 1] if depth > 1 else None

        async def page(after: UUID | None = after) -> None:
            await comments.of_video(video_id, PAGE + 1, None, after)

        found.append((f"page {depth}", await milliseconds(page)))
    return found


async def hot_video(database: Database, seconds: float) -> list[tuple[str, float]]:
    """Ratings a second on one video by callers that each wait for their answer; the totals are checked."""
    found = []
    for callers in CALLERS:
        ratings, video_id, rated = RatingsRepository(database), uuid4(), 0
        until = time.perf_counter() + seconds

        async def caller(ratings: RatingsRepository = ratings, video_id: UUID = video_id, until: float = until) -> int:
            written = 0
            while time.perf_counter() < until:
                await ratings.rate(video_id, uuid4(), 3)
                written += 1
            return written

        rated = sum(await asyncio.gather(*(caller() for _ in range(callers))))
        if await ratings.totals(video_id) != (rated, rated * 3):
            raise SystemExit(f"the totals of {rated} ratings are not exact")
        found.append((f"{callers} callers", rated / seconds))
    return found


async def reading_callers(database: Database, seconds: float) -> list[tuple[str, float]]:
    """Pages a second by callers that each wait for their answer."""
    comments, video_id = CommentsRepository(database), uuid4()
    await database.batch([(INSERT_BY_VIDEO, (video_id, uuid1(), video_id, "a comment")) for _ in range(PAGE)])
    found = []
    for callers in CALLERS:
        until = time.perf_counter() + seconds

        async def caller(until: float = until) -> int:
            read = 0
            while time.perf_counter() < until:
                await comments.of_video(video_id, PAGE, None, None)
                read += 1
            return read

        found.append((f"{callers} callers", sum(await asyncio.gather(*(caller() for _ in range(callers)))) / seconds))
    return found


def chart(title: str, unit: str, found: list[tuple[str, float]]) -> Table:
    """A table with a bar for each figure."""
    table = Table(title=title, title_justify="left")
    most = max(value for _, value in found)
    table.add_column("")
    table.add_column(unit, justify="right")
    table.add_column("")
    for name, value in found:
        table.add_row(name, f"{value:,.1f}", "█" * round(value / most * BAR))
    return table


async def run(arguments: argparse.Namespace) -> None:
    """One chart after the other."""
    console = Console(width=100)
    host, _, port = arguments.cassandra.rpartition(":")
    settings = Settings.load(cassandra_driver=arguments.driver, database_timeout=30)
    database = await connect(settings, [(host, int(port))], settings.cassandra_keyspace)
    await database.prepare([*COMMENT_STATEMENTS, *RATING_STATEMENTS])
    console.print(chart("A page of ten comments", "ms", await page_depth(database)))
    console.print(chart("Ratings of one video", "a second", await hot_video(database, arguments.seconds)))
    console.print(chart("Pages of ten comments", "a second", await reading_callers(database, arguments.seconds)))
    await database.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("cassandra", help="host:port")
    parser.add_argument("--driver", default="auto")
    parser.add_argument("--seconds", type=float, default=4)
    uvloop.run(run(parser.parse_args()))
