"""`python -m services.suggested_videos refresh`: computes every list now, with progress, for those who do not want to wait until each is asked for.

Nothing needs this: the services make a list when it is asked for. It walks the token ring, first the rated videos (which also finds what is
popular among data that other tools loaded), then the people who rated. `--part 2/8` walks the second eighth of the ring only: run the eight
parts at once, on as many machines, to share the work. A run that was stopped is simply started again.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator
from heapq import heappush, heappushpop
from typing import NamedTuple
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from common.database import Database, Select, Write, wait_for_database
from common.ring_sample import RING_START
from common.settings import Settings
from common.timestamps import now
from grpc_discovery import logs, open_registry
from services.suggested_videos.list_keeper import RELATED, SUGGESTED
from services.suggested_videos.list_repository import ListName, ListRepository
from services.suggested_videos.ranked_list import MAX_LISTED
from services.suggested_videos.recommender import Recommender
from services.suggested_videos.repository import STATEMENTS, SuggestedVideosRepository

_AT_ONCE = 4
_HELP = """The work can be shared: `--part 1/8` to `--part 8/8`, started at once on as many machines or cores, each walk an eighth of the token
ring, that is every part of the cluster's data once."""


class PersonRow(NamedTuple):
    """A person who rated, and where they lie on the token ring."""

    id: UUID
    token: int


class TotalRow(NamedTuple):
    """A rated video, how often it was rated, and where it lies on the token ring."""

    id: UUID
    token: int
    ratings: int | None


RATED_VIDEOS = Select(
    "SELECT DISTINCT videoid, token(videoid), ratings_count FROM video_ratings_by_user WHERE token(videoid) >= ? AND token(videoid) <= ?",
    TotalRow,
)
PEOPLE = Select(
    "SELECT DISTINCT userid, token(userid) FROM user_ratings WHERE token(userid) >= ? AND token(userid) <= ?", PersonRow
)
INSERT_MARK = Write("INSERT INTO rated_video_marks (minute, level, videoid) VALUES (?, ?, ?)")
REFRESH_STATEMENTS = (*STATEMENTS, RATED_VIDEOS, PEOPLE, INSERT_MARK)


def main(arguments: list[str]) -> None:
    """The command. Exits 2 for a wrong argument, 1 when the work was interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m services.suggested_videos refresh", description=__doc__, epilog=_HELP
    )
    parser.add_argument(
        "--part",
        default="1/1",
        metavar="N/OF",
        help="which part of the token ring to walk, such as 2/8 (default: all of it)",
    )
    options = parser.parse_args(arguments)
    match = re.fullmatch(r"(\d+)/(\d+)", options.part)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        parser.error(f"--part is N/OF with N from 1 to OF, such as 2/8, not {options.part!r}")
    settings = Settings.load()
    logs.configure(settings.logs.level, settings.logs.format)
    try:
        asyncio.run(_refresh(settings, *ring_part(int(match[1]), int(match[2]))))
    except KeyboardInterrupt:
        print("stopped; start it again to go on from the beginning", file=sys.stderr)
        sys.exit(1)


def ring_part(number: int, of: int) -> tuple[int, int]:
    """The first and the last token of the `number`th of `of` parts of the ring; together the parts are the whole ring, none twice."""
    width = 2**64
    return RING_START + width * (number - 1) // of, RING_START + width * number // of - 1


async def _refresh(settings: Settings, first: int, last: int) -> None:
    registry = await open_registry(settings.registry)
    try:
        database = await wait_for_database(settings.cassandra, registry, REFRESH_STATEMENTS)
        try:
            await refresh_part(database, first, last)
        finally:
            await database.close()
    finally:
        await registry.close()


async def refresh_part(database: Database, first: int, last: int) -> tuple[int, int]:
    """Compute the lists of all rated videos and all people between two tokens; returns how many of each."""
    lists = ListRepository(database)
    recommender = Recommender(SuggestedVideosRepository(database), lists)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[done]:,} lists"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:

        async def walk(description: str, kind: str, rows: AsyncIterator[PersonRow] | AsyncIterator[TotalRow]) -> int:
            task = progress.add_task(description, total=last - first + 1, done=0)
            done = 0
            under_way: set[asyncio.Task[int]] = set()
            async for row in rows:
                under_way.add(asyncio.create_task(recommender.refresh(ListName(kind, row.id))))
                if len(under_way) >= _AT_ONCE:
                    finished, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    done += sum(task_done.result() > 0 for task_done in finished)
                    progress.update(task, completed=row.token - first, done=done)
            done += sum(length > 0 for length in await asyncio.gather(*under_way))
            progress.update(task, completed=last - first + 1, done=done)
            return done

        videos = await walk("related videos ", RELATED, _marking_popular(database, first, last))
        people = await walk("for each person", SUGGESTED, database.scan(PEOPLE, first, last))
    return videos, people


async def _marking_popular(database: Database, first: int, last: int) -> AsyncIterator[TotalRow]:
    """The rated videos; those rated most are marked, which makes them candidates for what is popular."""
    most_rated: list[tuple[int, UUID]] = []
    async for row in database.scan(RATED_VIDEOS, first, last):
        if row.ratings:
            (heappush if len(most_rated) < MAX_LISTED else heappushpop)(most_rated, (row.ratings, row.id))
        yield row
    minute = now().replace(second=0, microsecond=0)
    for ratings, video_id in most_rated:
        await database.write(INSERT_MARK, minute, ratings.bit_length(), video_id)
