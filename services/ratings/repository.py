"""Where ratings are kept: a row for each user in the partition of the video, and what they come to in static columns of that partition.

Both change in one conditional batch, so the totals are exact whatever happens between two steps. The batch asks that nothing it was
reckoned from has changed: the version of the totals (a new random one with each write, so that emptied tables confuse nobody) and the
former rating of each user. An attempt begins by reading, so one whose outcome nobody knows is simply made again. docs/decisions/0020.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from common.database import Database, Select, Values, Write
from common.errors import Unavailable
from common.timestamps import from_ms, now
from grpc_discovery import ServiceError
from services.ratings.grouping import Grouping, OutcomeUnknown

_SAME_RATING = timedelta(seconds=10)


class StandingRow(NamedTuple):
    """The totals of a video, all None if they were never computed, and the rating of one of its users, None if it has none."""

    ratings_count: int | None
    ratings_total: int | None
    version: UUID | None
    user_id: UUID | None
    rating: int | None


class UserRatingRow(NamedTuple):
    """How one user rated."""

    user_id: UUID
    rating: int | None


class RatingRow(NamedTuple):
    """A rating."""

    rating: int | None


class WrittenRow(NamedTuple):
    """How one user rated, and when that was written, in microseconds since 1970."""

    user_id: UUID
    rating: int | None
    written: int | None


class ListedRow(NamedTuple):
    """A video among those that a user rated."""

    video_id: UUID


class Totals(NamedTuple):
    """How many ratings a video has, and their sum."""

    number: int
    total: int


STANDING = Select(
    "SELECT ratings_count, ratings_total, version, userid, rating FROM video_ratings_by_user WHERE videoid = ? LIMIT 1",
    StandingRow,
)
COUNTED = Select(
    "SELECT COUNT(rating), SUM(CAST(rating AS bigint)) FROM video_ratings_by_user WHERE videoid = ?", Totals
)
RATINGS_BY = Select("SELECT userid, rating FROM video_ratings_by_user WHERE videoid = ? AND userid IN ?", UserRatingRow)
RATING_BY = Select("SELECT rating FROM video_ratings_by_user WHERE videoid = ? AND userid = ?", RatingRow)
WRITTEN = Select("SELECT userid, rating, WRITETIME(rating) FROM video_ratings_by_user WHERE videoid = ?", WrittenRow)
LISTED = Select("SELECT videoid FROM user_ratings WHERE userid = ? AND rated_at >= ? AND rated_at <= ?", ListedRow)
SET_TOTALS = Write(
    "UPDATE video_ratings_by_user SET ratings_count = ?, ratings_total = ?, version = ? WHERE videoid = ? IF version = ?"
)
SET_RATING = Write("UPDATE video_ratings_by_user SET rating = ? WHERE videoid = ? AND userid = ? IF rating = ?")
ADD_TO_COUNTERS = Write(
    "UPDATE video_ratings SET rating_counter = rating_counter + ?, rating_total = rating_total + ? WHERE videoid = ?",
    idempotent=False,
)
INSERT_OF_USER = Write("INSERT INTO user_ratings (userid, rated_at, videoid, rating) VALUES (?, ?, ?, ?)")
INSERT_MARK = Write("INSERT INTO rated_video_marks (minute, level, videoid) VALUES (?, ?, ?)")

STATEMENTS = (
    STANDING,
    COUNTED,
    RATINGS_BY,
    RATING_BY,
    WRITTEN,
    LISTED,
    SET_TOTALS,
    SET_RATING,
    ADD_TO_COUNTERS,
    INSERT_OF_USER,
    INSERT_MARK,
)


class RatingsRepository:
    """Writes ratings, and reads them one by one or summed up."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._grouping = Grouping(self._attempt)

    async def rate(self, video_id: UUID, user_id: UUID, rating: int) -> None:
        """Set the rating of a user, and list it among what he rated (a hint for suggestions, not part of the totals)."""
        await asyncio.gather(
            self._grouping.write(video_id, user_id, rating),
            self._database.write(INSERT_OF_USER, user_id, now(), video_id, rating),
        )

    async def totals(self, video_id: UUID) -> Totals:
        """What the ratings of a video come to. Where nobody computed it yet, it is computed and kept."""
        standing = await self._database.select_one(STANDING, video_id)
        if standing is None:
            return Totals(0, 0)
        if standing.version is not None:
            return Totals(standing.ratings_count or 0, standing.ratings_total or 0)
        totals = await self._counted(video_id)
        await self._database.batch_if(_steps(video_id, standing, totals, {}, {}))  # not applied: another was faster
        return totals

    async def rating_by(self, video_id: UUID, user_id: UUID) -> int:
        """How a user rated a video, 0 if he did not."""
        row = await self._database.select_one(RATING_BY, video_id, user_id)
        return row.rating or 0 if row else 0

    async def restore(self, video_id: UUID) -> bool:
        """Reckon the totals of a video anew from its ratings, and list each among what its user rated. Safe while it is rated."""
        while True:
            standing = await self._database.select_one(STANDING, video_id)
            if standing is None:
                return True
            totals = await self._counted(video_id)
            if standing.version and totals == (standing.ratings_count, standing.ratings_total):
                break
            outcome = await self._database.batch_if(_steps(video_id, standing, totals, {}, {}))
            if outcome.applied:
                break
        async for row in self._database.scan(WRITTEN, video_id):
            if row.rating is not None and row.written is not None:
                await self._list(video_id, row.user_id, row.rating, from_ms(row.written // 1000))
        if totals.number:
            await self._database.write(INSERT_MARK, _minute(), totals.number.bit_length(), video_id)
        return True

    async def _list(self, video_id: UUID, user_id: UUID, rating: int, written: datetime) -> None:
        """List a rating among what its user rated, unless it is listed: the service lists it a moment before or after it writes it."""
        listed = await self._database.select(LISTED, user_id, written - _SAME_RATING, written + _SAME_RATING)
        if all(row.video_id != video_id for row in listed):
            await self._database.write(INSERT_OF_USER, user_id, written, video_id, rating)

    async def _attempt(self, video_id: UUID, ratings: Mapping[UUID, int]) -> bool:
        """Try to write ratings and the totals that follow from them. False if something changed between reading and writing."""
        standing, rows = await asyncio.gather(
            self._database.select_one(STANDING, video_id),
            self._database.select(RATINGS_BY, video_id, list(ratings)),
        )
        before = Totals(0, 0)
        if standing and standing.version is None:
            before = await self._counted(video_id)
        elif standing:
            before = Totals(standing.ratings_count or 0, standing.ratings_total or 0)
        former = {row.user_id: row.rating for row in rows}
        after = Totals(
            before.number + sum(former.get(user_id) is None for user_id in ratings),
            before.total + sum(rating - (former.get(user_id) or 0) for user_id, rating in ratings.items()),
        )
        try:
            outcome = await self._database.batch_if(_steps(video_id, standing, after, ratings, former))
        except Unavailable as error:
            raise OutcomeUnknown(error.message) from error
        if outcome.applied:
            await self._tell(video_id, before, after)
        return outcome.applied

    async def _counted(self, video_id: UUID) -> Totals:
        counted = await self._database.select_one(COUNTED, video_id)
        return Totals(counted.number or 0, counted.total or 0) if counted else Totals(0, 0)

    async def _tell(self, video_id: UUID, before: Totals, after: Totals) -> None:
        """Keep in step what only hints at the totals. The ratings are written, so a failure here fails nobody."""
        with suppress(ServiceError):
            if after != before:
                await self._database.write(
                    ADD_TO_COUNTERS, after.number - before.number, after.total - before.total, video_id
                )
            level = after.number.bit_length()
            if level != before.number.bit_length():
                await self._database.write(INSERT_MARK, _minute(), level, video_id)


def _minute() -> datetime:
    return now().replace(second=0, microsecond=0)


def _steps(
    video_id: UUID,
    standing: StandingRow | None,
    totals: Totals,
    ratings: Mapping[UUID, int],
    former: Mapping[UUID, int | None],
) -> list[tuple[Write, Values]]:
    """The conditional batch that sets `ratings` and `totals`, if all is still as it was read."""
    steps: list[tuple[Write, Values]] = [
        (SET_TOTALS, (totals.number, totals.total, uuid4(), video_id, standing.version if standing else None))
    ]
    steps += [(SET_RATING, (rating, video_id, user_id, former.get(user_id))) for user_id, rating in ratings.items()]
    if standing and standing.version is None and standing.user_id not in ratings:
        # Totals that were never computed have no version. That one of the rows is still there shows that the table was not emptied since.
        steps.append((SET_RATING, (standing.rating, video_id, standing.user_id, standing.rating)))
    return steps
