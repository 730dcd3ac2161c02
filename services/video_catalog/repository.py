"""Where videos are kept: each in its own row, in the list of its user, in that of its day, by its tags and by its words.

All of these are written here and nowhere else. A video appears in all of them by one logged batch (services/video_catalog/index_plan.py).
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple
from uuid import UUID

from common.database import CLOCK, Database, IdText, Outcome, Select, WriteIf, settled
from common.timestamps import to_ms
from services.video_catalog import index_queue
from services.video_catalog.index_plan import WRITES, Step, batches, day_of
from services.video_catalog.video import Video

_BATCHES_AT_ONCE = 4

_MIN_STEPS = 8
"""Steps are not divided into smaller batches: each message costs the service, too."""


class VideoRow(NamedTuple):
    """A row of `videos`. Whatever is no key may be null in a row that another tool wrote."""

    video_id: UUID
    user_id: UUID | None
    name: str | None
    description: str | None
    location: str | None
    location_type: int | None
    preview_image_location: str | None
    tags: Any
    added_date: datetime | None


class StoredRow(NamedTuple):
    """A row of `videos`, and when columns of it were written, by Cassandra's clock in microseconds since 1970."""

    video_id: UUID
    user_id: UUID | None
    name: str | None
    description: str | None
    location: str | None
    location_type: int | None
    preview_image_location: str | None
    tags: Any
    added_date: datetime | None
    user_written: int | None
    name_written: int | None
    description_written: int | None
    date_written: int | None


class PreviewRow(NamedTuple):
    """A video as lists show it."""

    video_id: UUID
    added_date: datetime
    name: str
    preview_image_location: str | None
    user_id: IdText


class UserVideoRow(NamedTuple):
    """A video as the list of its user shows it."""

    video_id: IdText
    added_date: datetime
    name: str
    preview_image_location: str | None


class LatestVideoRow(NamedTuple):
    """A video as the list of its day shows it."""

    video_id: IdText
    added_date: datetime
    name: str
    preview_image_location: str | None
    user_id: IdText


class ListKey(NamedTuple):
    """Where a row stands in a list, newest first; equal dates are in the order of their ids. Without an id: before all rows of that date."""

    added_date: datetime
    video_id: UUID | None


class Start(NamedTuple):
    """Where a page begins: at a key (inclusive), or behind it."""

    key: ListKey
    inclusive: bool


CLAIM = WriteIf(
    "INSERT INTO video_claims (videoid, claim, userid, added_date) VALUES (?, ?, ?, ?) IF NOT EXISTS USING TTL 60",
)
TAKE_OVER = WriteIf(
    "UPDATE video_claims USING TTL 60 SET claim = ?, userid = ?, added_date = ? WHERE videoid = ? IF claim = ?"
)
RELEASE = WriteIf("DELETE FROM video_claims WHERE videoid = ? IF claim = ?")
_VIDEO = "SELECT videoid, userid, name, description, location, location_type, preview_image_location, tags, added_date"
_WRITTEN = "WRITETIME(userid), WRITETIME(name), WRITETIME(description), WRITETIME(added_date)"
VIDEO = Select(f"{_VIDEO} FROM videos WHERE videoid = ?", VideoRow)
STORED = Select(f"{_VIDEO}, {_WRITTEN} FROM videos WHERE videoid = ?", StoredRow, decides=True)
PREVIEWS = Select(
    "SELECT videoid, added_date, name, preview_image_location, userid FROM videos WHERE videoid IN ?", PreviewRow
)

_USER = "SELECT videoid, added_date, name, preview_image_location FROM user_videos WHERE userid = ?"
OF_USER = Select(f"{_USER} LIMIT ?", UserVideoRow)
OF_USER_UNTIL = Select(f"{_USER} AND added_date <= ? LIMIT ?", UserVideoRow)
OF_USER_BEFORE = Select(f"{_USER} AND added_date < ? LIMIT ?", UserVideoRow)
OF_USER_AT_FROM = Select(f"{_USER} AND added_date = ? AND videoid >= ? LIMIT ?", UserVideoRow)
OF_USER_AT_AFTER = Select(f"{_USER} AND added_date = ? AND videoid > ? LIMIT ?", UserVideoRow)

_DAY = "SELECT videoid, added_date, name, preview_image_location, userid FROM latest_videos WHERE yyyymmdd = ?"
OF_DAY = Select(f"{_DAY} LIMIT ?", LatestVideoRow)
OF_DAY_UNTIL = Select(f"{_DAY} AND added_date <= ? LIMIT ?", LatestVideoRow)
OF_DAY_BEFORE = Select(f"{_DAY} AND added_date < ? LIMIT ?", LatestVideoRow)
OF_DAY_AT_FROM = Select(f"{_DAY} AND added_date = ? AND videoid >= ? LIMIT ?", LatestVideoRow)
OF_DAY_AT_AFTER = Select(f"{_DAY} AND added_date = ? AND videoid > ? LIMIT ?", LatestVideoRow)

STATEMENTS = (
    CLAIM,
    TAKE_OVER,
    RELEASE,
    VIDEO,
    STORED,
    CLOCK,
    PREVIEWS,
    OF_USER,
    OF_USER_UNTIL,
    OF_USER_BEFORE,
    OF_USER_AT_FROM,
    OF_USER_AT_AFTER,
    OF_DAY,
    OF_DAY_UNTIL,
    OF_DAY_BEFORE,
    OF_DAY_AT_FROM,
    OF_DAY_AT_AFTER,
    *WRITES,
    *index_queue.STATEMENTS,
)


class VideoCatalogRepository:
    """Reads and writes videos and their lists."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.index_queue = index_queue.IndexQueue(database)

    async def video(self, video_id: UUID) -> Video | None:
        """A video; None where there is none, or a row that is not (yet) one."""
        row = await self._database.select_one(VIDEO, video_id)
        return _video(row) if row else None

    async def stored(self, video_id: UUID) -> tuple[Video | None, int]:
        """A video on which rests what is written next, and when its row was last written, in microseconds since 1970; 0 without a row."""
        row = await self._database.select_one(STORED, video_id)
        if row is None:
            return None, 0
        written = (row.user_written, row.name_written, row.description_written, row.date_written)
        return _video(row), max(each or 0 for each in written)

    async def now_us(self) -> int:
        """What Cassandra's clock says, in microseconds since 1970."""
        row = await self._database.select_one(CLOCK)
        return to_ms(row.timestamp) * 1000 if row else 0

    async def previews(self, video_ids: Iterable[UUID]) -> dict[UUID, PreviewRow]:
        """The known ones among the videos, by id."""
        rows = await self._database.select(PREVIEWS, list(video_ids))
        # A row without these is not a video yet: its long columns were written first, or another tool is writing it.
        return {row.video_id: row for row in rows if row.user_id and row.added_date}

    async def of_user(self, user_id: UUID, limit: int, start: Start | None) -> Sequence[UserVideoRow]:
        """Up to `limit` videos of a user, newest first, from `start` on."""
        if start is None:
            return await self._database.select(OF_USER, user_id, limit)
        added_date, video_id = start.key
        if video_id is None:
            return await self._database.select(OF_USER_UNTIL, user_id, added_date, limit)
        same_date = OF_USER_AT_FROM if start.inclusive else OF_USER_AT_AFTER
        beside, before = await asyncio.gather(
            self._database.select(same_date, user_id, added_date, video_id, limit),
            self._database.select(OF_USER_BEFORE, user_id, added_date, limit),
        )
        return [*beside, *before][:limit]

    async def of_day(self, day: str, limit: int, start: Start | None = None) -> Sequence[LatestVideoRow]:
        """Up to `limit` videos that were added on a day (20260131), newest first; from `start` on, where it is on that day."""
        if start is None or day_of(start.key.added_date) != day:
            return await self._database.select(OF_DAY, day, limit)
        added_date, video_id = start.key
        if video_id is None:
            return await self._database.select(OF_DAY_UNTIL, day, added_date, limit)
        same_date = OF_DAY_AT_FROM if start.inclusive else OF_DAY_AT_AFTER
        beside, before = await asyncio.gather(
            self._database.select(same_date, day, added_date, video_id, limit),
            self._database.select(OF_DAY_BEFORE, day, added_date, limit),
        )
        return [*beside, *before][:limit]

    async def claim(self, video_id: UUID, claim: UUID, user_id: UUID, added_date: datetime) -> Outcome:
        """Claim an id for a minute, if it is free. Raises Unavailable when the outcome is not known."""
        return await settled(
            lambda: self._database.write_if(CLAIM, video_id, claim, user_id, added_date), {"claim": claim}
        )

    async def take_over(
        self, video_id: UUID, former: UUID, claim: UUID, user_id: UUID, added_date: datetime
    ) -> Outcome:
        """Replace the claim `former`, if it still stands, by one that lasts a minute from now. Raises Unavailable when the outcome is not known."""
        return await settled(
            lambda: self._database.write_if(TAKE_OVER, claim, user_id, added_date, video_id, former), {"claim": claim}
        )

    async def release(self, video_id: UUID, claim: UUID) -> None:
        """Give up a claim, if it still is this one."""
        await self._database.write_if(RELEASE, video_id, claim)

    async def write_together(self, steps: Sequence[Step], timestamp_us: int) -> None:
        """Steps as one logged batch: readers see all of them, or none."""
        await self._database.batch(steps, timestamp_us)

    async def write_apart(
        self, steps: Sequence[Step], timestamp_us: int | None = None, at_once: int = _BATCHES_AT_ONCE, parts: int = 1
    ) -> None:
        """Steps that need not be seen together, in batches without a log, which would write each step twice more; `at_once` of them.

        They are divided among `parts` batches, or more if those were too large.
        Raises what the first failure was. Of the others those under way may be written or not, and the rest is not begun.
        """
        left = batches(steps, max(_MIN_STEPS, ceil(len(steps) / parts)))

        async def work() -> None:
            for batch in left:
                # The long columns of a row are alone, and may be too large for any batch.
                if len(batch) > 1:
                    await self._database.batch_unlogged(batch, timestamp_us)
                else:
                    [(statement, values)] = batch
                    await self._database.write(statement, *values, timestamp_us=timestamp_us)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(at_once):
                    workers.create_task(work())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures


def _video(row: VideoRow | StoredRow) -> Video | None:
    if row.user_id is None or row.added_date is None:
        return None
    return Video(
        row.video_id,
        row.user_id,
        row.name or "",
        row.description or "",
        row.location or "",
        row.location_type or 0,
        row.preview_image_location or "",
        frozenset(row.tags or ()),
        row.added_date,
    )
