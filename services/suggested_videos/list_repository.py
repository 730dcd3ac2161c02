"""The lists that were made, and the videos that are candidates for what is popular: what suggested videos keeps of its own."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from common.database import Database, Select, Values, Write, WriteIf

_MAX_STEPS = 200
_POPULAR_LIST = 0


class ListName(NamedTuple):
    """What a list is: its kind, and the id of the video or the person it is for."""

    kind: str
    of: UUID


class ListRow(NamedTuple):
    """A list as it was made: when, of what (fingerprint, sources and how many ratings these had), and its videos, best first."""

    made_at: datetime
    checked_at: datetime | None
    fingerprint: str | None
    sources: list[UUID] | None
    source_ratings: int | None
    video_ids: list[UUID] | None


class ReasonsRow(NamedTuple):
    """Why each video of a list is in it, as JSON."""

    reasons: str | None


class PopularRow(NamedTuple):
    """A member of the popular videos; without an id where there are none but events have been read."""

    video_id: UUID | None
    folded_until: datetime | None


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
CLAIM = WriteIf("INSERT INTO suggestion_refreshes (kind, id, owner) VALUES (?, ?, ?) IF NOT EXISTS USING TTL 30")
POPULAR = Select("SELECT videoid, folded_until FROM popular_videos WHERE list = ?", PopularRow)
ADD_POPULAR = Write("INSERT INTO popular_videos (list, videoid) VALUES (?, ?)")
DROP_POPULAR = Write("DELETE FROM popular_videos WHERE list = ? AND videoid = ?")
FOLDED_UNTIL = Write("INSERT INTO popular_videos (list, folded_until) VALUES (?, ?)")

LIST_STATEMENTS = (
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


class ListRepository:
    """Keeps lists, and the members of the popular ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_list(self, name: ListName) -> ListRow | None:
        """The newest list of a video or a person."""
        return await self._database.select_one(NEWEST_LIST, *name)

    async def list_made_at(self, name: ListName, made_at: datetime) -> ListRow | None:
        """The list of a video or a person that was made at that timestamp."""
        return await self._database.select_one(LIST_MADE_AT, *name, made_at)

    async def save_list(self, name: ListName, made: ListRow, reasons: str) -> None:
        """Keep a list for a day."""
        await self._database.write(
            SAVE_LIST,
            *name,
            made.made_at,
            made.checked_at,
            made.fingerprint,
            made.sources,
            made.source_ratings,
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

    async def popular(self) -> tuple[set[UUID], datetime | None]:
        """The videos kept as popular, and up to when events were read for that; None if never."""
        rows = await self._database.select(POPULAR, _POPULAR_LIST)
        return {row.video_id for row in rows if row.video_id is not None}, rows[0].folded_until if rows else None

    async def keep_popular(self, added: Iterable[UUID], dropped: Iterable[UUID], folded_until: datetime) -> None:
        """Change what is kept as popular; the timestamp goes last, so that a crash only means reading some events again."""
        await self.add_popular(added)
        await self._in_batches([(DROP_POPULAR, (_POPULAR_LIST, video_id)) for video_id in dropped])
        await self._database.write(FOLDED_UNTIL, _POPULAR_LIST, folded_until)

    async def add_popular(self, video_ids: Iterable[UUID]) -> None:
        """Keep videos as candidates for what is popular."""
        await self._in_batches([(ADD_POPULAR, (_POPULAR_LIST, video_id)) for video_id in video_ids])

    async def _in_batches(self, steps: Sequence[tuple[Write, Values]]) -> None:
        for start in range(0, len(steps), _MAX_STEPS):
            await self._database.batch(steps[start : start + _MAX_STEPS])
