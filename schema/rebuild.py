"""`python -m schema rebuild`: rewrites the tables that follow from others, from the videos and the ratings.

For data that other tools loaded: an older backend, a copy of tables. The services may run meanwhile. Each video is done by itself, with the
code of the service that writes the tables. Doing one twice changes nothing, so a rebuild that was stopped is simply run again. What is
written is as old as the row it follows from, so that a submit at the same time wins; what somebody deleted from a list later than that (rather
than truncated it) stays deleted. At the end, postings of words and rows of tags that no video stands behind are removed.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import UUID

from common.database import Database, Select, explained
from common.errors import Unavailable
from common.settings import Settings
from grpc_discovery.addresses import Address
from schema import stale_entries
from schema.upgrade import wait_for_cassandra
from services.ratings import repository as ratings
from services.ratings.tally import Tally
from services.video_catalog import repository as video_catalog
from services.video_catalog.submissions import Submissions

_AT_ONCE = 16
_CHUNK = 500
_ENTRIES_BETWEEN_REPORTS = 100_000
_RETRY_SECONDS = (0.5, 2.0)

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class _VideoIdRow(NamedTuple):
    video_id: UUID


class _Ids(NamedTuple):
    """How to read the ids of many videos, some at a time."""

    first: Select[_VideoIdRow]
    after: Select[_VideoIdRow]


_VIDEOS = _Ids(
    Select("SELECT videoid FROM videos LIMIT ?", _VideoIdRow),
    Select("SELECT videoid FROM videos WHERE token(videoid) > token(?) LIMIT ?", _VideoIdRow),
)
_RATED_VIDEOS = _Ids(
    Select("SELECT DISTINCT videoid FROM video_ratings_by_user LIMIT ?", _VideoIdRow),
    Select("SELECT DISTINCT videoid FROM video_ratings_by_user WHERE token(videoid) > token(?) LIMIT ?", _VideoIdRow),
)


async def rebuild(settings: Settings, contact_points: list[Address]) -> None:
    """Rewrite lists, tags, words and suggestions of all videos, and the totals and lists of all ratings. The schema must be complete."""
    database = await wait_for_cassandra(settings, contact_points, settings.cassandra.keyspace)
    patience = _Patience(contact_points)
    try:
        statements = (
            *_VIDEOS,
            *_RATED_VIDEOS,
            *video_catalog.STATEMENTS,
            *ratings.STATEMENTS,
            *stale_entries.STATEMENTS,
        )
        await patience.complete(partial(database.prepare, statements))
        await _for_each(
            database, patience, _VIDEOS, "videos", Submissions(video_catalog.VideoCatalogRepository(database)).restore
        )
        await _for_each(
            database, patience, _RATED_VIDEOS, "rated videos", Tally(ratings.RatingsRepository(database)).restore
        )
        removed = await patience.complete(partial(stale_entries.remove_stale_entries, database, _Report()))
        _log.info("%d entries of words and tags that no video stands behind were removed", removed)
    finally:
        await database.close()


class _Report:
    """Logs how many entries were looked at, now and then."""

    def __init__(self) -> None:
        self._next = _ENTRIES_BETWEEN_REPORTS

    def __call__(self, read: int) -> None:
        if read >= self._next:
            self._next = read + _ENTRIES_BETWEEN_REPORTS
            _log.info("%d entries of words and tags looked at", read)


class _Patience:
    """Repeats what may be repeated while Cassandra is away. Logs once for each reason, however many wait."""

    def __init__(self, contact_points: list[Address]) -> None:
        self._contact_points = contact_points
        self._reason = ""

    async def complete(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `work`, which is repeated until Cassandra answers."""
        while True:
            try:
                result = await work()
            except Unavailable as error:
                reason = explained(error, self._contact_points)
                if reason != self._reason:
                    self._reason = reason
                    _log.info("waiting for Cassandra: %s", reason)
            else:
                self._reason = ""
                return result
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))


async def _for_each(
    database: Database, patience: _Patience, ids: _Ids, what: str, restore: Callable[[UUID], Awaitable[bool]]
) -> None:
    """Restore each of the videos, some at once, and log how many are done."""
    done = left_out = 0
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(video_id: UUID) -> bool:
        async with room:
            return await patience.complete(partial(restore, video_id))

    rows: Sequence[_VideoIdRow] = await patience.complete(partial(database.select, ids.first, _CHUNK))
    while rows:
        outcomes = await asyncio.gather(*(one(row.video_id) for row in rows))
        done += sum(outcomes)
        left_out += len(outcomes) - sum(outcomes)
        _log.info("%d %s done", done, what)
        last = rows[-1].video_id
        rows = await patience.complete(partial(database.select, ids.after, last, _CHUNK))
    if left_out:
        _log.warning(
            "%d rows of %s were left out: they have no user or no date, so they are not complete videos", left_out, what
        )
    _log.info("all %s are done", what)
