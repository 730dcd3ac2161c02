"""Where plays are counted: a counter for each video, and a journal for the time in which counters fail."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from common.caches import CacheSize, watch
from common.database import Database, Select, Write
from common.hints import write_hints
from common.timestamps import now
from services.statistics.counting import ADD_PLAY, JOURNAL, PEER, PROBE, PlayCounter

_MARK_EVERY = 16
_MAX_SEEN = 10_000
_SEEN_BYTES = 300
_MAX_MARKS, _MAX_LOW_MARKS, _LOW_LEVEL = 200, 100, 4
"""Marks of one process in a minute, and those of them of videos with fewer than 16 plays: all instances write to one partition then."""


class PlaysRow(NamedTuple):
    """How often a video was played."""

    video_id: UUID
    views: int | None


class JournaledRow(NamedTuple):
    """How many plays of a video one process has taken beside the counter."""

    video_id: UUID
    plays: int


PLAYS = Select("SELECT videoid, views FROM video_playback_stats WHERE videoid IN ?", PlaysRow)
JOURNALED = Select("SELECT videoid, plays FROM play_journal WHERE videoid IN ?", JournaledRow)
INSERT_MARK = Write("INSERT INTO played_video_marks (minute, level, videoid) VALUES (?, ?, ?)")

STATEMENTS = (PEER, ADD_PLAY, PROBE, JOURNAL, PLAYS, JOURNALED, INSERT_MARK)


class StatisticsRepository:
    """Counts plays."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counter = PlayCounter(database)
        self._seen: dict[UUID, int] = {}
        watch("plays_seen", self, lambda repository: CacheSize.estimated(len(repository._seen), _SEEN_BYTES))
        self._minute: datetime | None = None
        self._marked: set[tuple[int, UUID]] = set()

    async def add_play(self, video_id: UUID) -> None:
        """Count one more play of a video."""
        await self._counter.add(video_id)
        await self._mark_if_popular(video_id)

    async def plays(self, video_ids: Sequence[UUID]) -> dict[UUID, int]:
        """How often videos were played; those that never were are left out."""
        distinct = list(dict.fromkeys(video_ids))
        counted, journaled = await asyncio.gather(
            self._database.select(PLAYS, distinct), self._database.select(JOURNALED, distinct)
        )
        plays = {row.video_id: row.views or 0 for row in counted}
        for row in journaled:
            plays[row.video_id] = plays.get(row.video_id, 0) + row.plays
        return plays

    async def _mark_if_popular(self, video_id: UUID) -> None:
        """Leave a hint for suggestions each time this process has seen twice as many plays of a video: at the 2nd, 4th, 8th …

        And at each 16th: the counts here know nothing of a table that somebody emptied. No mark is written twice in a minute, and no more than
        200 are: of more, readers take only those of the highest levels.
        """
        if video_id not in self._seen and len(self._seen) >= _MAX_SEEN:
            self._seen.clear()  # hints may come late or twice
        seen = self._seen[video_id] = self._seen.get(video_id, 0) + 1
        if seen == 1 or (seen & (seen - 1) and seen % _MARK_EVERY):
            return
        minute, level = now().replace(second=0, microsecond=0), seen.bit_length()
        if minute != self._minute:
            self._minute, self._marked = minute, set()
        limit = _MAX_LOW_MARKS if level <= _LOW_LEVEL else _MAX_MARKS
        if (level, video_id) not in self._marked and len(self._marked) < limit:
            self._marked.add((level, video_id))
            await write_hints(self._database.write(INSERT_MARK, minute, level, video_id))
