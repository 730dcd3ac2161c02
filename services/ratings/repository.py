"""Where ratings are kept: a row for each user in the partition of the video, and their totals in static columns of that partition.

services/ratings/tally.py says in which order they are written.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from common.database import Database, Select, Values, Write, WriteIf
from common.hints import write_hints
from common.timestamps import now


class StandingRow(NamedTuple):
    """The totals of a video, all None if they were never computed, and the rating of one of its users, None if it has none."""

    ratings_count: int | None
    ratings_total: int | None
    version: UUID | None
    user_id: UUID | None
    rating: int | None


class UserRatingRow(NamedTuple):
    """How one user rated, and where that stands among the ratings of the user; None: not known, or nowhere."""

    user_id: UUID
    rating: int | None
    listed_at: datetime | None


class RatingRow(NamedTuple):
    """A rating."""

    rating: int | None


class WrittenRow(NamedTuple):
    """How one user rated, where that stands among the ratings of the user, and when it was written, in microseconds since 1970."""

    user_id: UUID
    rating: int | None
    listed_at: datetime | None
    written: int | None


class ListedRow(NamedTuple):
    """A video among those that a user rated."""

    video_id: UUID


class NewRating(NamedTuple):
    """A rating to write: what it replaces (None: nothing), where it will stand among those of its user, and where it stood if elsewhere."""

    rating: int
    former: int | None
    listed_at: datetime
    moved_from: datetime | None


class Totals(NamedTuple):
    """How many ratings a video has, and their sum."""

    number: int
    total: int


STANDING = Select(
    "SELECT ratings_count, ratings_total, version, userid, rating FROM video_ratings_by_user WHERE videoid = ? LIMIT 1",
    StandingRow,
)
STANDING_TO_DECIDE = Select(STANDING.cql, StandingRow, decides=True)
ALL_RATINGS = Select("SELECT rating FROM video_ratings_by_user WHERE videoid = ?", RatingRow, decides=True)
# Decides nothing by itself: each rating is compared again by the batch that replaces it.
RATINGS_BY = Select(
    "SELECT userid, rating, listed_at FROM video_ratings_by_user WHERE videoid = ? AND userid IN ?", UserRatingRow
)
RATING_BY = Select("SELECT rating FROM video_ratings_by_user WHERE videoid = ? AND userid = ?", RatingRow)
WRITTEN = Select(
    "SELECT userid, rating, listed_at, WRITETIME(rating) FROM video_ratings_by_user WHERE videoid = ?", WrittenRow
)
LISTED = Select("SELECT videoid FROM user_ratings WHERE userid = ? AND rated_at >= ? AND rated_at <= ?", ListedRow)
SET_TOTALS = WriteIf(
    "UPDATE video_ratings_by_user SET ratings_count = ?, ratings_total = ?, version = ? WHERE videoid = ? IF version = ?"
)
SET_RATING = WriteIf(
    "UPDATE video_ratings_by_user SET rating = ?, listed_at = ? WHERE videoid = ? AND userid = ? IF rating = ?"
)
KEEP_RATING = WriteIf("UPDATE video_ratings_by_user SET rating = ? WHERE videoid = ? AND userid = ? IF rating = ?")
ADD_TO_COUNTERS = Write(
    "UPDATE video_ratings SET rating_counter = rating_counter + ?, rating_total = rating_total + ? WHERE videoid = ?",
    idempotent=False,
)
INSERT_OF_USER = Write(
    "INSERT INTO user_ratings (userid, rated_at, videoid, rating, changed_at) VALUES (?, ?, ?, ?, ?)"
)
RESTORE_OF_USER = Write("INSERT INTO user_ratings (userid, rated_at, videoid, rating) VALUES (?, ?, ?, ?)")
DELETE_OF_USER = Write("DELETE FROM user_ratings WHERE userid = ? AND rated_at = ? AND videoid = ?")
INSERT_MARK = Write("INSERT INTO rated_video_marks (minute, level, videoid) VALUES (?, ?, ?)")

STATEMENTS = (
    STANDING,
    STANDING_TO_DECIDE,
    ALL_RATINGS,
    RATINGS_BY,
    RATING_BY,
    WRITTEN,
    LISTED,
    SET_TOTALS,
    SET_RATING,
    KEEP_RATING,
    ADD_TO_COUNTERS,
    INSERT_OF_USER,
    RESTORE_OF_USER,
    DELETE_OF_USER,
    INSERT_MARK,
)


class RatingsRepository:
    """Reads and writes ratings, their totals, and what only hints at them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, video_id: UUID, decides: bool = False) -> StandingRow | None:
        """The totals of a video, and one of its ratings; None where it has neither. `decides`: what is written next rests on them."""
        return await self._database.select_one(STANDING_TO_DECIDE if decides else STANDING, video_id)

    async def standing_and_former(
        self, video_id: UUID, user_ids: Collection[UUID]
    ) -> tuple[StandingRow | None, dict[UUID, UserRatingRow]]:
        """The totals of a video, on which rests what is written next, and how some users rate it so far."""
        standing = await self.standing(video_id, decides=True)
        rows = await self._database.select(RATINGS_BY, video_id, list(user_ids))
        return standing, {row.user_id: row for row in rows}

    async def counted(self, video_id: UUID) -> Totals:
        """The totals as they follow from all ratings of a video: reads its whole partition, some hundred rows at a time."""
        number = total = 0
        async for row in self._database.scan(ALL_RATINGS, video_id):
            if row.rating is not None:
                number, total = number + 1, total + row.rating
        return Totals(number, total)

    async def rating_by(self, video_id: UUID, user_id: UUID) -> int:
        """The rating that a user gave a video, 0 if they gave none."""
        row = await self._database.select_one(RATING_BY, video_id, user_id)
        return row.rating or 0 if row else 0

    def written(self, video_id: UUID) -> AsyncIterator[WrittenRow]:
        """All ratings of a video, with when they were written."""
        return self._database.scan(WRITTEN, video_id)

    async def write_if_unchanged(
        self,
        video_id: UUID,
        standing: StandingRow | None,
        totals: Totals,
        ratings: Mapping[UUID, NewRating],
    ) -> bool:
        """Write `ratings` (by user) and `totals` in one conditional batch. False if something changed since `standing` and the former ratings were read.

        Raises Unavailable when the outcome is not known.
        """
        steps: list[tuple[Write, Values]] = [
            (SET_TOTALS, (totals.number, totals.total, uuid4(), video_id, standing.version if standing else None))
        ]
        steps += [
            (SET_RATING, (new.rating, new.listed_at, video_id, user_id, new.former)) for user_id, new in ratings.items()
        ]
        if standing and standing.version is None and standing.user_id not in ratings:
            # Totals that were never computed have no version. That one of the rows is still there shows that the table was not emptied since.
            steps.append((KEEP_RATING, (standing.rating, video_id, standing.user_id, standing.rating)))
        return (await self._database.batch_if(steps)).applied

    async def list_rating(self, user_id: UUID, video_id: UUID, new: NewRating) -> None:
        """List a rating among those of its user, once: a hint for suggestions, not part of the totals."""
        entry = (user_id, new.listed_at, video_id, new.rating, now())
        if new.moved_from is None:
            await self._database.write(INSERT_OF_USER, *entry)
        else:
            former = (user_id, new.moved_from, video_id)
            await self._database.batch([(INSERT_OF_USER, entry), (DELETE_OF_USER, former)])

    async def restore_listed(self, user_id: UUID, listed_at: datetime, video_id: UUID, rating: int) -> None:
        """List a rating among those of its user again."""
        await self._database.write(RESTORE_OF_USER, user_id, listed_at, video_id, rating)

    async def is_listed(self, user_id: UUID, earliest: datetime, latest: datetime, video_id: UUID) -> bool:
        """Whether a rating of the video stands among those of its user between two timestamps."""
        rows = await self._database.select(LISTED, user_id, earliest, latest)
        return any(row.video_id == video_id for row in rows)

    async def update_hints(
        self, video_id: UUID, before: Totals, after: Totals, ratings: Mapping[UUID, NewRating]
    ) -> None:
        """Update what only hints at ratings and totals. The ratings are written, so a failure here fails nobody."""
        hints = [self.list_rating(user_id, video_id, new) for user_id, new in ratings.items()]
        if after != before:
            number, total = after.number - before.number, after.total - before.total
            hints.append(self._database.write(ADD_TO_COUNTERS, number, total, video_id))
        if after.number.bit_length() != before.number.bit_length():
            hints.append(self.mark_as_rated(video_id, after))
        await write_hints(*hints)

    async def mark_as_rated(self, video_id: UUID, totals: Totals) -> None:
        """Leave an event for suggestions: this video has reached as many ratings as its level says (the number's binary digits)."""
        minute = now().replace(second=0, microsecond=0)
        await self._database.write(INSERT_MARK, minute, totals.number.bit_length(), video_id)


def totals_of(standing: StandingRow | None) -> Totals:
    """The totals that a partition holds; none where nobody rated."""
    return Totals(standing.ratings_count or 0, standing.ratings_total or 0) if standing else Totals(0, 0)
