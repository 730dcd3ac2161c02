"""Where videos are kept: each in its own row, in the list of its user, in that of its day, by its tags and by its words.

All of these are written here and nowhere else. A video appears in all of them by one logged batch (services/video_catalog/writing.py).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextvars import Context
from datetime import datetime, timedelta
from math import ceil
from random import random
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from common.database import Database, IdText, Outcome, Select, Write
from common.errors import Unavailable
from common.ids import cassandra_uuid_order
from common.timestamps import now
from grpc_discovery import AlreadyExists, shielded
from services.video_catalog.writing import (
    INSERT_TEXT,
    WRITES,
    Step,
    Video,
    batches,
    day_of,
    spelling_steps,
    steps_to_list,
    steps_to_write,
)


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


class Submission(NamedTuple):
    """A video as it is submitted."""

    video_id: UUID
    user_id: UUID
    name: str
    description: str
    location: str
    location_type: int
    preview_image_location: str
    tags: frozenset[str]


class Place(NamedTuple):
    """A place in a list, newest first; videos of one moment stand in the order of their ids. Without an id: before all of that moment."""

    added_date: datetime
    video_id: UUID | None


CLAIM_REPEATS = 2
MAX_NEW_SPELLINGS = 100
MAX_WAITING = 64
SPELLING_MEMORY = 50_000
SPELLING_SECONDS = 600.0
MAX_DAYS_AT_ONCE = 16

_MILLISECOND = timedelta(milliseconds=1)

CLAIM = Write(
    "INSERT INTO video_claims (videoid, claim, userid, added_date) VALUES (?, ?, ?, ?) IF NOT EXISTS USING TTL 60",
    idempotent=False,
)
RELEASE = Write("DELETE FROM video_claims WHERE videoid = ? IF claim = ?", idempotent=False)
VIDEO = Select(
    "SELECT videoid, userid, name, description, location, location_type, preview_image_location, tags, added_date"
    " FROM videos WHERE videoid = ?",
    VideoRow,
)
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
    RELEASE,
    VIDEO,
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
)


class VideoCatalogRepository:
    """Writes videos and lists them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_added = datetime.min
        self._submitting: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._spellings = _Remembered()
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def submit(self, submission: Submission) -> None:
        """Write a video, or the new form of one that its user submitted before: it keeps its added_date, and so its place in each list.

        Raises AlreadyExists when another user's video has the id; then nothing was written.
        """
        # Submissions of one video take turns: each finds what the one before it left, and so takes away what it does not hold itself.
        turn = self._submitting.setdefault(submission.video_id, asyncio.Lock())
        async with turn:
            await self._submit(submission)

    async def _submit(self, submission: Submission) -> None:
        (added_date, claim), older = await self._place_for(submission.video_id, submission.user_id)
        video = Video(*submission, added_date=added_date)
        steps, found = steps_to_write(video, older)
        await asyncio.gather(
            self._write_apart(steps.before),
            self._make_known(self._spellings.without(found.shown_spellings)[:MAX_NEW_SPELLINGS]),
        )
        await self._database.batch(steps.together)
        await self._write_apart(steps.after)
        if claim:
            await self._database.write_if(RELEASE, submission.video_id, claim)
        self._make_known_later(found.other_spellings)

    async def restore(self, video_id: UUID) -> bool:
        """Write all that lists and finds a video anew, from its row alone; False where there is none. Safe while the video is submitted."""
        older: Video | None = None
        while True:
            video = _video(await self._database.select_one(VIDEO, video_id))
            if video is None or video == older:
                # Whatever is submitted from now on is written after what was written here, and wins.
                return video is not None
            steps, found = steps_to_list(video, older)
            await self._write_apart(steps)
            await self._make_known(found.shown_spellings)
            await self._make_known(found.other_spellings)
            older = video

    async def video(self, video_id: UUID) -> Video | None:
        """A video, or None."""
        return _video(await self._database.select_one(VIDEO, video_id))

    async def previews(self, video_ids: Iterable[UUID]) -> dict[UUID, PreviewRow]:
        """Those of the videos that there are, by id."""
        rows = await self._database.select(PREVIEWS, list(video_ids))
        # A row without these is not a video yet: its long columns were written first, or another tool is at it.
        return {row.video_id: row for row in rows if row.user_id and row.added_date}

    async def of_user(
        self, user_id: UUID, limit: int, start: Place | None, after: Place | None
    ) -> Sequence[UserVideoRow]:
        """Up to `limit` videos of a user, newest first: from `start` on, or behind `after`, whichever lies further on."""
        place, inclusive = _further(start, after)
        if place is None:
            return await self._database.select(OF_USER, user_id, limit)
        if place.video_id is None:
            return await self._database.select(OF_USER_UNTIL, user_id, place.added_date, limit)
        same_moment = OF_USER_AT_FROM if inclusive else OF_USER_AT_AFTER
        beside, before = await asyncio.gather(
            self._database.select(same_moment, user_id, place.added_date, place.video_id, limit),
            self._database.select(OF_USER_BEFORE, user_id, place.added_date, limit),
        )
        return [*beside, *before][:limit]

    async def latest(self, limit: int, days: int, start: Place | None, after: Place | None) -> Sequence[LatestVideoRow]:
        """Up to `limit` videos of the last `days` days, newest first: from `start` on, or behind `after`, whichever lies further on.

        Walks the days back from the first that can hold one, several at once while they turn out to hold little.
        """
        today = now().date()
        place, inclusive = _further(start, after)
        day = min(place.added_date.date(), today) if place else today
        last_day = today - timedelta(days=days)
        if day < last_day:
            return []
        found = list(await self._of_first_day(f"{day:%Y%m%d}", place, inclusive, limit))
        at_once, walked = 2, 1
        while len(found) < limit and day > last_day:
            span = min(at_once, (day - last_day).days)
            missing = limit - len(found)
            chunk = await asyncio.gather(
                *(
                    self._database.select(OF_DAY, f"{day - timedelta(days=back):%Y%m%d}", missing)
                    for back in range(1, span + 1)
                )
            )
            for rows in chunk:
                found.extend(rows)
            day -= timedelta(days=span)
            walked += span
            # About as many days as it takes, by what the days so far held; at most twice as many as before.
            expected = ceil((limit - len(found)) * walked / len(found)) if found else MAX_DAYS_AT_ONCE
            at_once = max(1, min(expected, span * 2, MAX_DAYS_AT_ONCE))
        return found[:limit]

    async def _of_first_day(
        self, day: str, place: Place | None, inclusive: bool, limit: int
    ) -> Sequence[LatestVideoRow]:
        if place is None or day != day_of(place.added_date):
            return await self._database.select(OF_DAY, day, limit)
        if place.video_id is None:
            return await self._database.select(OF_DAY_UNTIL, day, place.added_date, limit)
        same_moment = OF_DAY_AT_FROM if inclusive else OF_DAY_AT_AFTER
        beside, before = await asyncio.gather(
            self._database.select(same_moment, day, place.added_date, place.video_id, limit),
            self._database.select(OF_DAY_BEFORE, day, place.added_date, limit),
        )
        return [*beside, *before][:limit]

    async def _place_for(self, video_id: UUID, user_id: UUID) -> tuple[tuple[datetime, UUID | None], Video | None]:
        """Which added_date a video gets, with the claim to take back if it is ours; and what the database holds of it. Several that submit a new video at once get the same date.

        The claim settles who is first. It is looked at before the row, and taken back after the row is written: who finds no claim
        finds the row.
        """
        claim, proposed = uuid4(), self._next_added_date()
        outcome = await self._claim(video_id, claim, user_id, proposed)
        mine = claim if outcome.applied or outcome.current[0]["claim"] == claim else None
        older = _video(await self._database.select_one(VIDEO, video_id))
        owner, added_date = user_id, proposed
        if older:
            owner, added_date = older.user_id, older.added_date
        elif not mine:
            owner, added_date = outcome.current[0]["userid"], outcome.current[0]["added_date"]
        if owner != user_id:
            if mine:
                await self._database.write_if(RELEASE, video_id, mine)
            raise AlreadyExists(f"A video with the id {video_id} was submitted by another user already")
        return (added_date, mine), older

    async def _claim(self, video_id: UUID, claim: UUID, user_id: UUID, added_date: datetime) -> Outcome:
        """Try to claim an id. An attempt whose outcome is unknown (many at once, for one) is repeated: the claim's id tells if it is ours."""
        for _ in range(CLAIM_REPEATS):
            try:
                return await self._database.write_if(CLAIM, video_id, claim, user_id, added_date)
            except Unavailable:
                await asyncio.sleep(random() / 10)
        return await self._database.write_if(CLAIM, video_id, claim, user_id, added_date)

    def _next_added_date(self) -> datetime:
        """The present moment, or the millisecond after the last one given out: no two videos of one process share theirs."""
        timestamp = max(now(), self._last_added + _MILLISECOND)
        # A Timestamp without fractions of a second arrives without `nanos` at the web site, which then shows no list at all.
        self._last_added = timestamp if timestamp.microsecond else timestamp + _MILLISECOND
        return self._last_added

    async def _write_apart(self, steps: Sequence[Step]) -> None:
        """Steps that need not be seen together; the long columns of a row go alone, for they may be too large for any batch."""
        for statement, values in steps:
            if statement is INSERT_TEXT:
                await self._database.write(statement, *values)
        for batch in batches([step for step in steps if step[0] is not INSERT_TEXT]):
            await self._database.batch(batch)

    async def _make_known(self, words: Iterable[str]) -> None:
        """Let words be found by those who mistype them, unless this process has done so lately."""
        unknown = self._spellings.without(words)
        await self._write_apart(spelling_steps(unknown))
        self._spellings.add(unknown)

    def _make_known_later(self, words: Iterable[str]) -> None:
        """Let a description's words be found by those who mistype them, one submit's after the other's and behind the caller's back.

        They are many, and nobody waits for them; if the database fails, the next submit that has them makes them known.
        """
        unknown = self._spellings.without(words)[:MAX_NEW_SPELLINGS]
        if unknown and self._waiting < MAX_WAITING:
            task = asyncio.create_task(shielded(self._known_in_turn(unknown)), context=Context())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _known_in_turn(self, words: Sequence[str]) -> None:
        self._waiting += 1
        try:
            async with self._turn:
                await self._make_known(words)
        finally:
            self._waiting -= 1


class _Remembered:
    """Words whose spelling was written lately. They are forgotten after a while, so that a table which lost them gets them again."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def without(self, words: Iterable[str]) -> list[str]:
        """Those of the words that were not added lately."""
        timestamp = monotonic()
        return sorted(word for word in words if self._until.get(word, 0.0) < timestamp)

    def add(self, words: Iterable[str]) -> None:
        """Remember words for a while, the oldest giving way."""
        until = monotonic() + SPELLING_SECONDS
        for word in words:
            self._until[word] = until
            self._until.move_to_end(word)
        while len(self._until) > SPELLING_MEMORY:
            self._until.popitem(last=False)


def _video(row: VideoRow | None) -> Video | None:
    """The video of a row; None for a row that is not one (yet)."""
    if row is None or row.user_id is None or row.added_date is None:
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


def _further(start: Place | None, after: Place | None) -> tuple[Place | None, bool]:
    """Whichever of a starting point and the last row lies further on, and whether the list begins at it (True) or behind it."""
    if start is None or after is None:
        return start or after, after is None
    return (start, True) if _order(start) > _order(after) else (after, False)


def _order(place: Place) -> tuple[Any, ...]:
    """Sorts places as lists do: later in the list is greater."""
    newest_first = datetime.max - place.added_date
    return (newest_first, 1, cassandra_uuid_order(place.video_id)) if place.video_id else (newest_first, 0)
