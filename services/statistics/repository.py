"""Where plays are counted: a counter for each video."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from common.database import Database, Select, Write
from common.hints import write_hint
from common.timestamps import now

_MARK_EVERY = 16
_MAX_SEEN = 10_000
_MAX_MARKS, _MAX_LOW_MARKS, _LOW_LEVEL = 200, 100, 4
"""Marks of one process in a minute, and those of them of videos with fewer than 16 plays: all instances write to one partition then."""


class PlaysRow(NamedTuple):
    """How often a video was played."""

    video_id: UUID
    views: int | None


# A counter is not idempotent: nobody may try this again behind the caller's back.
ADD_PLAY = Write("UPDATE video_playback_stats SET views = views + 1 WHERE videoid = ?", idempotent=False)
PLAYS = Select("SELECT videoid, views FROM video_playback_stats WHERE videoid IN ?", PlaysRow)
INSERT_MARK = Write("INSERT INTO played_video_marks (minute, level, videoid) VALUES (?, ?, ?)")

STATEMENTS = (ADD_PLAY, PLAYS, INSERT_MARK)


class StatisticsRepository:
    """Counts plays."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[UUID, int] = {}
        self._minute: datetime | None = None
        self._marked: set[tuple[int, UUID]] = set()

    async def add_play(self, video_id: UUID) -> None:
        """Count one more play of a video."""
        await self._database.write(ADD_PLAY, video_id)
        await self._mark_if_popular(video_id)

    async def plays(self, video_ids: Sequence[UUID]) -> dict[UUID, int]:
        """How often videos were played; those that never were are left out."""
        rows = await self._database.select(PLAYS, list(dict.fromkeys(video_ids)))
        return {row.video_id: row.views or 0 for row in rows}

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
            await write_hint(self._database.write(INSERT_MARK, minute, level, video_id))
