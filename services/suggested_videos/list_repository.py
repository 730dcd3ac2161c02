"""The lists that were made, and the videos that are candidates for what is popular: what suggested videos keeps of its own.

Rows of `suggestion_lists` live for a time. A read asks only for rows that are younger than that, so it never passes rows that have expired.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from common.database import Database, Select, Write, WriteIf
from common.ids import NIL
from common.timestamps import now

_CANDIDATES = 0  # the only row of popular_candidates

_LIVES, _POPULAR_LIVES = timedelta(days=1), timedelta(hours=1)
"""How long a list is kept, for the pages that follow. The popular one is made far more often than the others."""


QUICK = "content:"
"""What the fingerprint of a list that was made from content alone begins with. So nobody takes it for the list that is wanted."""


class ListName(NamedTuple):
    """What a list is: its kind, and the id of the video or the person it is for."""

    kind: str
    of: UUID


class ListRow(NamedTuple):
    """A list as it was made: when, of what (fingerprint, sources and how many ratings these had), and its videos, best first.

    `ranked` of the videos are there by ratings, plays or content, and the others fill it up; None: all are ranked.
    """

    made_at: datetime
    checked_at: datetime | None
    fingerprint: str | None
    sources: list[UUID] | None
    source_ratings: int | None
    video_ids: list[UUID] | None
    ranked: int | None = None

    @property
    def is_quick(self) -> bool:
        """Whether the list was made from content alone, for lack of time."""
        return (self.fingerprint or "").startswith(QUICK)


class ReasonsRow(NamedTuple):
    """Why each video of a list is in it, as JSON."""

    reasons: str | None


class CandidatesRow(NamedTuple):
    """The candidates for what is popular, and up to when events were read for them."""

    video_ids: list[UUID] | None
    folded_until: datetime | None


POPULAR = ListName("popular", NIL)
"""The one list of popular videos."""

NEWEST_LIST = Select(
    "SELECT made_at, checked_at, basis, watched, watched_ratings, videoids, ranked FROM suggestion_lists"
    " WHERE kind = ? AND id = ? AND made_at > ? LIMIT 1",
    ListRow,
)
LIST_MADE_AT = Select(
    "SELECT made_at, checked_at, basis, watched, watched_ratings, videoids, ranked FROM suggestion_lists WHERE kind = ? AND id = ? AND made_at = ?",
    ListRow,
)
REASONS = Select("SELECT reasons FROM suggestion_lists WHERE kind = ? AND id = ? AND made_at = ?", ReasonsRow)
SAVE_LIST = Write(
    "INSERT INTO suggestion_lists (kind, id, made_at, checked_at, basis, watched, watched_ratings, videoids, ranked)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"
)
SAVE_REASONS = Write("INSERT INTO suggestion_lists (kind, id, made_at, reasons) VALUES (?, ?, ?, ?) USING TTL ?")
CLAIM = WriteIf("INSERT INTO suggestion_refreshes (kind, id, owner) VALUES (?, ?, ?) IF NOT EXISTS USING TTL 30")
CANDIDATES = Select("SELECT videoids, folded_until FROM popular_candidates WHERE list = ?", CandidatesRow)
SAVE_CANDIDATES = Write("INSERT INTO popular_candidates (list, videoids, folded_until) VALUES (?, ?, ?)")

LIST_STATEMENTS = (
    NEWEST_LIST,
    LIST_MADE_AT,
    REASONS,
    SAVE_LIST,
    SAVE_REASONS,
    CLAIM,
    CANDIDATES,
    SAVE_CANDIDATES,
)


class ListRepository:
    """Keeps lists, and the members of the popular ones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_list(self, name: ListName) -> ListRow | None:
        """The newest list of a video or a person, if it was made no longer ago than lists are kept."""
        return await self._database.select_one(NEWEST_LIST, *name, now() - _lifetime(name))

    async def list_made_at(self, name: ListName, made_at: datetime) -> ListRow | None:
        """The list of a video or a person that was made at that timestamp."""
        return await self._database.select_one(LIST_MADE_AT, *name, made_at)

    async def save_list(self, name: ListName, made: ListRow, reasons: str | None) -> None:
        """Keep a list for a day, the popular one for an hour; with the reasons (JSON) if there are any to keep."""
        seconds = int(_lifetime(name).total_seconds())
        if reasons is not None:
            await self._database.write(SAVE_REASONS, *name, made.made_at, reasons, seconds)
        await self._database.write(
            SAVE_LIST,
            *name,
            made.made_at,
            made.checked_at,
            made.fingerprint,
            made.sources,
            made.source_ratings,
            made.video_ids,
            len(made.video_ids or ()) if made.ranked is None else made.ranked,  # a null would leave a tombstone
            seconds,
        )

    async def reasons(self, name: ListName, made_at: datetime) -> str | None:
        """The reasons kept with a list, as JSON; None if nobody asked for them when it was made."""
        row = await self._database.select_one(REASONS, *name, made_at)
        return row.reasons if row else None

    async def claim(self, name: ListName, owner: UUID) -> bool:
        """Whether this process is the one to refresh a list in the background during the next half minute."""
        return (await self._database.write_if(CLAIM, *name, owner)).applied

    async def candidates(self) -> tuple[set[UUID], datetime | None]:
        """The candidates for what is popular, and up to when events were read for them; None if never."""
        row = await self._database.select_one(CANDIDATES, _CANDIDATES)
        return (set(row.video_ids or ()), row.folded_until) if row else (set(), None)

    async def keep_candidates(self, video_ids: Collection[UUID], folded_until: datetime) -> None:
        """Keep these candidates instead of the former ones. Of two processes that do so at once, the later wins."""
        await self._database.write(SAVE_CANDIDATES, _CANDIDATES, sorted(video_ids), folded_until)


def _lifetime(name: ListName) -> timedelta:
    return _POPULAR_LIVES if name == POPULAR else _LIVES
