"""Removing entries of the index that no video stands behind: postings of words and rows of tags.

Submits that crashed after their batch, submits of one video by two instances at once, and tools that delete rows of `videos` leave such
entries. Readers look at the video's row anyway, but a word's best 2,000 postings and a tag's newest videos should be worth reading.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from common.database import Database, Select, Write
from common.timestamps import now, to_ms
from language.scoring import weight
from language.word_index import analyse

MIN_AGE = timedelta(minutes=10)
"""A younger entry may belong to a submit that has not written its row yet. No submit takes so long."""

_AT_ONCE = 200
_EPOCH = datetime(1970, 1, 1)


class _Posting(NamedTuple):
    word: str
    weight: int
    added_ms: int
    video_id: UUID
    written_us: int | None


class _Tagged(NamedTuple):
    tag: str
    added_date: datetime
    video_id: UUID
    written_us: int | None


class _VideoRow(NamedTuple):
    video_id: UUID
    user_id: UUID | None
    added_date: datetime | None
    name: str | None
    tags: Any
    description: str | None


_POSTINGS = Select("SELECT word, weight, added_ms, videoid, WRITETIME(counts) FROM video_words", _Posting)
_TAGGED = Select("SELECT tag, added_date, videoid, WRITETIME(userid) FROM newest_videos_by_tag", _Tagged)
_VIDEOS = Select(
    "SELECT videoid, userid, added_date, name, tags, description FROM videos WHERE videoid IN ?", _VideoRow
)
# With the timestamp of what is removed: an entry that is written anew meanwhile stays.
_REMOVE_POSTING = Write(
    "DELETE FROM video_words USING TIMESTAMP ? WHERE word = ? AND weight = ? AND added_ms = ? AND videoid = ?"
)
_REMOVE_TAGGED = Write(
    "DELETE FROM newest_videos_by_tag USING TIMESTAMP ? WHERE tag = ? AND added_date = ? AND videoid = ?"
)

STATEMENTS = (_POSTINGS, _TAGGED, _VIDEOS, _REMOVE_POSTING, _REMOVE_TAGGED)

Entry = tuple[Any, ...]


async def remove_stale_entries(database: Database, report: Callable[[int], None]) -> int:
    """Remove them all, and return how many there were. Services may run. `report` is told, now and then, how many entries were read."""
    read = removed = 0
    for statement, remove, wanted_by in (
        (_POSTINGS, _REMOVE_POSTING, _postings_of),
        (_TAGGED, _REMOVE_TAGGED, _tags_of),
    ):
        async for entries in _chunks(database.scan(statement)):
            wanted = await _wanted(database, {entry.video_id for entry in entries}, wanted_by)
            latest_us = (now() - MIN_AGE - _EPOCH) // timedelta(microseconds=1)
            for *key, written_us in entries:
                if tuple(key) not in wanted and written_us is not None and written_us < latest_us:
                    await database.write(remove, written_us, *key)
                    removed += 1
            read += len(entries)
            report(read)
    return removed


async def _chunks(rows: AsyncIterator[Any]) -> AsyncIterator[Sequence[Any]]:
    chunk: list[Any] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _wanted(database: Database, video_ids: set[UUID], wanted_by: Callable[[_VideoRow], set[Entry]]) -> set[Entry]:
    """The entries that the videos, as they are now, should have."""
    rows = await database.select(_VIDEOS, list(video_ids))
    return {entry for row in rows if row.user_id and row.added_date for entry in wanted_by(row)}


def _postings_of(row: _VideoRow) -> set[Entry]:
    added_ms = to_ms(row.added_date) if row.added_date else 0
    counts = analyse(row.name or "", row.tags or (), row.description or "").counts
    return {(word, weight(packed), added_ms, row.video_id) for word, packed in counts.items()}


def _tags_of(row: _VideoRow) -> set[Entry]:
    return {(tag, row.added_date, row.video_id) for tag in row.tags or ()}
