"""What suggestions are made from. Every read is bounded, however hot a video or busy a person is.

Ratings, videos, tags and plays belong to other services and are only read here; list_repository.py keeps the lists.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime
from heapq import nlargest
from typing import Any, TypeVar
from uuid import UUID

from common.database import Database, Select
from common.time_slices import checkpoint
from services.suggested_videos.list_repository import LIST_STATEMENTS
from services.suggested_videos.rows import (
    AddedRow,
    ContentRow,
    DescribedRow,
    EventRow,
    IdRow,
    NewestRow,
    OwnRow,
    PlaysRow,
    PreviewRow,
    RatedRow,
    RatingRow,
    RingRow,
    TaggedRow,
    TotalsRow,
    WordRow,
)

Row = TypeVar("Row", bound=tuple[Any, ...])

MAX_KEYS = 200
"""Partitions that one statement asks for; more are asked for in several statements at once."""

_EVENT_ROWS, _MAX_EVENTS, _MIN_EVENTS = 6_000, 200, 4
"""Rows of events that are read together, and of each minute."""

_ROWS_AT_ONCE = 1_000

PREVIEWS = Select(
    "SELECT videoid, userid, added_date, name, preview_image_location FROM videos WHERE videoid IN ?", PreviewRow
)
CONTENTS = Select("SELECT videoid, userid, name, tags, added_date FROM videos WHERE videoid IN ?", ContentRow)
DESCRIBED = Select(
    "SELECT videoid, userid, name, tags, description, added_date FROM videos WHERE videoid IN ?", DescribedRow
)
ON_RING = Select(
    "SELECT token(videoid), videoid, userid, added_date, name, preview_image_location, tags FROM videos WHERE token(videoid) > ? LIMIT ?",
    RingRow,
)
NEWEST = Select("SELECT videoid, added_date FROM latest_videos WHERE yyyymmdd IN ? PER PARTITION LIMIT ?", AddedRow)
RATED_BY_USER = Select("SELECT rated_at, videoid, rating FROM user_ratings WHERE userid = ? LIMIT ?", RatedRow)
NEWEST_OF_USER = Select("SELECT rated_at, changed_at FROM user_ratings WHERE userid = ? LIMIT 1", NewestRow)
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
NEWEST_TAGGED = Select("SELECT tag, videoid FROM newest_videos_by_tag WHERE tag IN ? PER PARTITION LIMIT ?", TaggedRow)
LOWEST_TAGGED = Select("SELECT tag, videoid FROM videos_by_tag WHERE tag IN ? PER PARTITION LIMIT ?", TaggedRow)
WITH_WORDS = Select("SELECT word, videoid FROM video_words WHERE word IN ? PER PARTITION LIMIT ?", WordRow)
OF_AUTHORS = Select("SELECT videoid FROM user_videos WHERE userid IN ? PER PARTITION LIMIT ?", IdRow)
RATED_EVENTS = Select("SELECT level, videoid FROM rated_video_marks WHERE minute IN ? PER PARTITION LIMIT ?", EventRow)
PLAYED_EVENTS = Select(
    "SELECT level, videoid FROM played_video_marks WHERE minute IN ? PER PARTITION LIMIT ?", EventRow
)

STATEMENTS = (
    PREVIEWS,
    CONTENTS,
    DESCRIBED,
    ON_RING,
    NEWEST,
    RATED_BY_USER,
    NEWEST_OF_USER,
    RATED_BY_USERS,
    OWN_RATINGS,
    RATINGS_OF_VIDEOS,
    TOTALS,
    PLAYS,
    NEWEST_TAGGED,
    LOWEST_TAGGED,
    WITH_WORDS,
    OF_AUTHORS,
    RATED_EVENTS,
    PLAYED_EVENTS,
    *LIST_STATEMENTS,
)


class SuggestedVideosRepository:
    """Reads what the other services know of videos and people."""

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

    async def on_ring(self, after: int, limit: int) -> list[RingRow]:
        """The `limit` videos that follow a token, in the order of their tokens; rows that are no videos (yet) may be among them."""
        return await self._database.select(ON_RING, after, limit)

    async def newest(self, days: Collection[date], limit: int) -> list[AddedRow]:
        """The newest `limit` videos of each of these days (UTC). Hints: the rows of the videos decide."""
        return await self._database.select(NEWEST, [f"{day:%Y%m%d}" for day in days], limit) if days else []

    async def with_words(self, words: Collection[str], limit: int) -> list[WordRow]:
        """For each word of the index the `limit` videos that it says most about."""
        return await self._database.select(WITH_WORDS, list(words), limit) if words else []

    async def tagged(self, tags: Collection[str], limit: int) -> list[TaggedRow]:
        """The newest `limit` videos of each tag. Of a tag that has more, as many with the lowest ids too: the same ones for every tag, so that tags
        in common stay in sight. Those alone of a tag whose newest ones are not listed, in an older database.
        """
        if not tags:
            return []
        newest = await self._database.select(NEWEST_TAGGED, list(tags), limit)
        found = Counter(row.tag for row in newest)
        others = [tag for tag in tags if found[tag] == 0 or found[tag] >= limit]
        lowest = await self._database.select(LOWEST_TAGGED, others, limit) if others else []
        return list(dict.fromkeys([*newest, *lowest]))

    async def of_authors(self, user_ids: Collection[UUID], limit: int) -> list[UUID]:
        """The newest `limit` videos of each author."""
        return (
            [row.video_id for row in await self._database.select(OF_AUTHORS, list(user_ids), limit)] if user_ids else []
        )

    # Ratings and plays

    async def newest_rating(self, user_id: UUID) -> datetime | None:
        """When a person rated last, also if they only replaced a rating."""
        row = await self._database.select_one(NEWEST_OF_USER, user_id)
        return max(row.rated_at, row.changed_at or row.rated_at) if row and row.rated_at else None

    async def rated_by(self, user_id: UUID, limit: int) -> list[RatedRow]:
        """The newest `limit` ratings of a person, newest first; a video that was rated again may come again."""
        return await self._database.select(RATED_BY_USER, user_id, limit)

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        """The newest `limit` ratings of each person, newest first."""
        return await self._in_parts(RATED_BY_USERS, user_ids, limit, keys=25)

    async def own_ratings(self, user_id: UUID, video_ids: Collection[UUID]) -> dict[UUID, int]:
        """How a person rates those of the videos that they have rated, as it counts."""
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

    async def with_events(self, minutes: Collection[datetime], limit: int) -> set[UUID]:
        """The `limit` videos of highest level with an event of many ratings in these minutes, and as many with one of many plays.

        Many minutes share a number of rows, so a read of a whole day costs little more than one of some minutes.
        """
        of_a_minute = max(_MIN_EVENTS, min(_MAX_EVENTS, _EVENT_ROWS // len(minutes)))
        rated, played = await asyncio.gather(
            *(self._in_parts(events, minutes, of_a_minute, keys=60) for events in (RATED_EVENTS, PLAYED_EVENTS))
        )
        return await _highest(rated, limit) | await _highest(played, limit)

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


async def _highest(rows: Sequence[EventRow], limit: int) -> set[UUID]:
    """The `limit` videos with the highest levels."""
    levels: dict[UUID, int] = {}
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await checkpoint()
        for row in rows[start : start + _ROWS_AT_ONCE]:
            levels[row.video_id] = max(row.level, levels.get(row.video_id, 0))
    return set(nlargest(limit, levels, key=levels.__getitem__))
