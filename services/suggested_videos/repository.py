"""What suggestions are made from, and the lists that were made. Every read is bounded, however hot a video or busy a person is.

Ratings, videos, tags and plays belong to other services and are only read; the lists at the end are written here.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from common.database import Database, Select, Values, Write

Row = TypeVar("Row", bound=tuple[Any, ...])

MAX_KEYS = 200
"""Partitions that one statement asks for; more are asked for in several statements at once."""

_POPULAR_LIST = 0


class PreviewRow(NamedTuple):
    """A video as lists show it."""

    video_id: UUID
    user_id: UUID | None
    added_date: datetime | None
    name: str | None
    preview_image_location: str | None


class ContentRow(NamedTuple):
    """What a video is about."""

    video_id: UUID
    user_id: UUID | None
    name: str | None
    tags: Collection[str] | None


class DescribedRow(NamedTuple):
    """What a video is about, its description too."""

    video_id: UUID
    user_id: UUID | None
    name: str | None
    tags: Collection[str] | None
    description: str | None


class RatingRow(NamedTuple):
    """Somebody's rating of a video."""

    user_id: UUID | None
    video_id: UUID
    rating: int | None


class OwnRow(NamedTuple):
    """A rating of the person who asks."""

    video_id: UUID
    rating: int | None


class RatedRow(NamedTuple):
    """When a person rated which video how."""

    rated_at: datetime
    video_id: UUID
    rating: int | None


class MomentRow(NamedTuple):
    """A moment."""

    timestamp: datetime | None


class TotalsRow(NamedTuple):
    """How many ratings a video has, and their sum."""

    video_id: UUID
    ratings: int | None
    total: int | None


class PlaysRow(NamedTuple):
    """How often a video was played."""

    video_id: UUID
    views: int | None


class TaggedRow(NamedTuple):
    """A video and one of its tags."""

    tag: str
    video_id: UUID


class WordRow(NamedTuple):
    """A video and one of its words."""

    word: str
    video_id: UUID


class IdRow(NamedTuple):
    """The id of a video."""

    video_id: UUID


class ListName(NamedTuple):
    """What a list is: its kind, and the id of the video or the person it is for."""

    kind: str
    of: UUID


class ListRow(NamedTuple):
    """A list as it was computed (see the table suggestion_lists)."""

    made_at: datetime
    checked_at: datetime | None
    basis: str | None
    watched: list[UUID] | None
    watched_ratings: int | None
    video_ids: list[UUID] | None


class ReasonsRow(NamedTuple):
    """Why each video of a list is in it, as JSON."""

    reasons: str | None


class PopularRow(NamedTuple):
    """A member of the popular videos; without an id where there are none but the marks have been read."""

    video_id: UUID | None
    folded_until: datetime | None


PREVIEWS = Select(
    "SELECT videoid, userid, added_date, name, preview_image_location FROM videos WHERE videoid IN ?", PreviewRow
)
CONTENTS = Select("SELECT videoid, userid, name, tags FROM videos WHERE videoid IN ?", ContentRow)
DESCRIBED = Select("SELECT videoid, userid, name, tags, description FROM videos WHERE videoid IN ?", DescribedRow)
RATED_BY_USER = Select("SELECT rated_at, videoid, rating FROM user_ratings WHERE userid = ? LIMIT ?", RatedRow)
NEWEST_OF_USER = Select("SELECT rated_at FROM user_ratings WHERE userid = ? LIMIT 1", MomentRow)
RATED_BY_USERS = Select(
    "SELECT userid, videoid, rating FROM user_ratings WHERE userid IN ? PER PARTITION LIMIT ?", RatingRow
)
OWN_RATINGS = Select("SELECT videoid, rating FROM video_ratings_by_user WHERE videoid IN ? AND userid = ?", OwnRow)
RATINGS_OF_VIDEOS = Select(
    "SELECT userid, videoid, rating FROM video_ratings_by_user WHERE videoid IN ? PER PARTITION LIMIT ?", RatingRow
)
TOTALS = Select(
    "SELECT DISTINCT videoid, ratings_count, ratings_total FROM video_ratings_by_user WHERE videoid IN ?", TotalsRow
)
PLAYS = Select("SELECT videoid, views FROM video_playback_stats WHERE videoid IN ?", PlaysRow)
TAGGED = Select("SELECT tag, videoid FROM videos_by_tag WHERE tag IN ? PER PARTITION LIMIT ?", TaggedRow)
WITH_WORDS = Select("SELECT word, videoid FROM video_words WHERE word IN ? PER PARTITION LIMIT ?", WordRow)
OF_AUTHORS = Select("SELECT videoid FROM user_videos WHERE userid IN ? PER PARTITION LIMIT ?", IdRow)
RATED_MARKS = Select("SELECT videoid FROM rated_video_marks WHERE minute IN ? PER PARTITION LIMIT ?", IdRow)
PLAYED_MARKS = Select("SELECT videoid FROM played_video_marks WHERE minute IN ? PER PARTITION LIMIT ?", IdRow)
NEWEST_LIST = Select(
    "SELECT made_at, checked_at, basis, watched, watched_ratings, videoids FROM suggestion_lists WHERE kind = ? AND id = ? LIMIT 1",
    ListRow,
)
LIST_MADE_AT = Select(
    "SELECT made_at, checked_at, basis, watched, watched_ratings, videoids FROM suggestion_lists WHERE kind = ? AND id = ? AND made_at = ?",
    ListRow,
)
REASONS = Select("SELECT reasons FROM suggestion_lists WHERE kind = ? AND id = ? AND made_at = ?", ReasonsRow)
SAVE_LIST = Write(
    "INSERT INTO suggestion_lists (kind, id, made_at, checked_at, basis, watched, watched_ratings, videoids, reasons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
CLAIM = Write("INSERT INTO suggestion_refreshes (kind, id, owner) VALUES (?, ?, ?) IF NOT EXISTS USING TTL 30")
POPULAR = Select("SELECT videoid, folded_until FROM popular_videos WHERE list = ?", PopularRow)
ADD_POPULAR = Write("INSERT INTO popular_videos (list, videoid) VALUES (?, ?)")
DROP_POPULAR = Write("DELETE FROM popular_videos WHERE list = ? AND videoid = ?")
FOLDED_UNTIL = Write("INSERT INTO popular_videos (list, folded_until) VALUES (?, ?)")

STATEMENTS = (
    PREVIEWS,
    CONTENTS,
    DESCRIBED,
    RATED_BY_USER,
    NEWEST_OF_USER,
    RATED_BY_USERS,
    OWN_RATINGS,
    RATINGS_OF_VIDEOS,
    TOTALS,
    PLAYS,
    TAGGED,
    WITH_WORDS,
    OF_AUTHORS,
    RATED_MARKS,
    PLAYED_MARKS,
    NEWEST_LIST,
    LIST_MADE_AT,
    REASONS,
    SAVE_LIST,
    CLAIM,
    POPULAR,
    ADD_POPULAR,
    DROP_POPULAR,
    FOLDED_UNTIL,
)


class SuggestedVideosRepository:
    """Reads what others know of videos and people, and keeps the lists made of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Videos

    async def previews(self, video_ids: Collection[UUID]) -> dict[UUID, PreviewRow]:
        """Those of the videos that exist, by id."""
        return {row.video_id: row for row in await self._in_parts(PREVIEWS, video_ids) if row.added_date is not None}

    async def contents(self, video_ids: Collection[UUID]) -> dict[UUID, ContentRow]:
        """What those of the videos that exist are about, by id."""
        return {row.video_id: row for row in await self._in_parts(CONTENTS, video_ids) if row.name is not None}

    async def described(self, video_ids: Collection[UUID]) -> dict[UUID, DescribedRow]:
        """What those of the videos that exist are about by their descriptions too, by id."""
        return {row.video_id: row for row in await self._in_parts(DESCRIBED, video_ids) if row.name is not None}

    async def with_words(self, words: Collection[str], limit: int) -> list[WordRow]:
        """For each word of the index the `limit` videos that it says most about."""
        return await self._database.select(WITH_WORDS, list(words), limit) if words else []

    async def tagged(self, tags: Collection[str], limit: int) -> list[TaggedRow]:
        """Up to `limit` videos of each tag, those with the lowest ids: the same ones for every tag, so that tags in common stay in sight."""
        return await self._database.select(TAGGED, list(tags), limit) if tags else []

    async def of_authors(self, user_ids: Collection[UUID], limit: int) -> list[UUID]:
        """The newest `limit` videos of each author."""
        return (
            [row.video_id for row in await self._database.select(OF_AUTHORS, list(user_ids), limit)] if user_ids else []
        )

    # Ratings and plays

    async def newest_rating(self, user_id: UUID) -> datetime | None:
        """When a person rated last."""
        row = await self._database.select_one(NEWEST_OF_USER, user_id)
        return row.timestamp if row else None

    async def rated_by(self, user_id: UUID, limit: int) -> list[RatedRow]:
        """The newest `limit` ratings of a person, newest first; a video that was rated again may come again."""
        return await self._database.select(RATED_BY_USER, user_id, limit)

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        """The newest `limit` ratings of each person, newest first."""
        return await self._in_parts(RATED_BY_USERS, user_ids, limit, keys=25)

    async def own_ratings(self, user_id: UUID, video_ids: Collection[UUID]) -> dict[UUID, int]:
        """How a person rates those of the videos that he has rated, as it counts."""
        return {
            row.video_id: row.rating
            for row in await self._in_parts(OWN_RATINGS, video_ids, user_id)
            if row.rating is not None
        }

    async def ratings_of(self, video_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        """Up to `limit` ratings of each video, of the people with the lowest ids: the same sample of people for every video."""
        rows = await self._in_parts(RATINGS_OF_VIDEOS, video_ids, limit, keys=25)
        return [row for row in rows if row.user_id is not None]  # none: a video with totals whose ratings are gone

    async def totals(self, video_ids: Collection[UUID]) -> dict[UUID, TotalsRow]:
        """Number and sum of the ratings of those videos that have any."""
        return {row.video_id: row for row in await self._in_parts(TOTALS, video_ids) if row.ratings}

    async def plays(self, video_ids: Collection[UUID]) -> dict[UUID, int]:
        """How often each of the videos was played."""
        return {row.video_id: row.views or 0 for row in await self._in_parts(PLAYS, video_ids)}

    # What is popular

    async def marked(self, minutes: Collection[datetime], limit: int) -> set[UUID]:
        """For each minute the `limit` videos of highest level that were marked as rated often in it, and as many as played often."""
        rated, played = await asyncio.gather(
            *(self._in_parts(marks, minutes, limit, keys=60) for marks in (RATED_MARKS, PLAYED_MARKS))
        )
        return {row.video_id for row in (*rated, *played)}

    async def popular(self) -> tuple[set[UUID], datetime | None]:
        """The videos kept as popular, and up to when marks were read for that; None if never."""
        rows = await self._database.select(POPULAR, _POPULAR_LIST)
        return {row.video_id for row in rows if row.video_id is not None}, rows[0].folded_until if rows else None

    async def keep_popular(self, added: Iterable[UUID], dropped: Iterable[UUID], folded_until: datetime) -> None:
        """Change what is kept as popular; the moment goes last, so that a crash only means reading some marks again."""
        await self.add_popular(added)
        await self._in_batches([(DROP_POPULAR, (_POPULAR_LIST, video_id)) for video_id in dropped])
        await self._database.write(FOLDED_UNTIL, _POPULAR_LIST, folded_until)

    async def add_popular(self, video_ids: Iterable[UUID]) -> None:
        """Keep videos as candidates for what is popular."""
        await self._in_batches([(ADD_POPULAR, (_POPULAR_LIST, video_id)) for video_id in video_ids])

    async def _in_batches(self, steps: Sequence[tuple[Write, Values]]) -> None:
        for start in range(0, len(steps), MAX_KEYS):
            await self._database.batch(steps[start : start + MAX_KEYS])

    # The lists

    async def newest_list(self, name: ListName) -> ListRow | None:
        """The newest list of a video or a person."""
        return await self._database.select_one(NEWEST_LIST, *name)

    async def list_made_at(self, name: ListName, made_at: datetime) -> ListRow | None:
        """The list of a video or a person that was made at that moment."""
        return await self._database.select_one(LIST_MADE_AT, *name, made_at)

    async def save_list(self, name: ListName, made: ListRow, reasons: str) -> None:
        """Keep a list for a day."""
        await self._database.write(
            SAVE_LIST,
            *name,
            made.made_at,
            made.checked_at,
            made.basis,
            made.watched,
            made.watched_ratings,
            made.video_ids,
            reasons,
        )

    async def reasons(self, name: ListName, made_at: datetime) -> str:
        """The reasons kept with a list, as JSON."""
        row = await self._database.select_one(REASONS, *name, made_at)
        return row.reasons if row and row.reasons else "{}"

    async def claim(self, name: ListName, owner: UUID) -> bool:
        """Whether this process is the one to refresh a list in the background during the next half minute."""
        return (await self._database.write_if(CLAIM, *name, owner)).applied

    async def _in_parts(
        self, statement: Select[Row], ids: Collection[Any], *values: Any, keys: int = MAX_KEYS
    ) -> list[Row]:
        """All rows for `ids`, `keys` of them in a statement, the statements side by side."""
        listed = list(ids)
        parts = [listed[start : start + keys] for start in range(0, len(listed), keys)]
        if len(parts) == 1:
            return await self._database.select(statement, parts[0], *values)
        found = await asyncio.gather(*(self._database.select(statement, part, *values) for part in parts))
        return [row for rows in found for row in rows]
