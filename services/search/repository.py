"""What search reads: the postings of words, spellings and suggestions, which video_catalog writes, and the rows of `videos`, which decide.

Search writes nothing. Every read here is bounded, whatever the data.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from common.database import Database, IdText, Select
from language.beginnings import MAX_BEGINNING, beginning_of
from language.spelling import spelling_keys


class Posting(NamedTuple):
    """A video that holds a word: of which submission that was said, and how often the word is where (language/word_index.py).

    The hash is the same for videos of the same title by the same author; None in rows of an older index. Ids are texts: thousands of postings are
    read for a query, and few of them are shown.
    """

    video_id: IdText
    added_ms: int
    counts: int
    title_hash: int | None


class TermRow(NamedTuple):
    """A word or tag that may be suggested, and a video that was submitted with it."""

    term: str
    video_id: UUID


class BeginningRow(NamedTuple):
    """With which characters words and tags begin."""

    beginning: str


class WordRow(NamedTuple):
    """A word as somebody wrote it."""

    word: str


class VideoRow(NamedTuple):
    """A video with all its words; rows without a user or date are no videos, and are left out where they are read."""

    video_id: UUID
    added_date: datetime
    name: str | None
    preview_image_location: str | None
    user_id: UUID
    description: str | None
    tags: Any


class NamedRow(NamedTuple):
    """A video with the words of its name and tags."""

    video_id: UUID
    user_id: UUID | None
    name: str | None
    tags: Any


class SampleRow(NamedTuple):
    """A video of the sample, and where it lies on the ring."""

    token: int
    name: str | None
    tags: Any
    description: str | None


MAX_IDS_AT_ONCE = 100
BEGINNINGS_AT_ONCE = 4
LAST_CHARACTER = "\U0010ffff"

POSTINGS = Select("SELECT videoid, added_ms, counts, title_hash FROM video_words WHERE word = ? LIMIT ?", Posting)
SPELLINGS = Select("SELECT word FROM spellings_by_key WHERE key IN ? PER PARTITION LIMIT ?", WordRow)
TERMS = Select(
    "SELECT term, videoid FROM suggested_terms WHERE beginning = ? AND term >= ? AND term <= ? LIMIT ?", TermRow
)
TERMS_AFTER = Select(
    "SELECT term, videoid FROM suggested_terms WHERE beginning = ? AND term > ? AND term <= ? LIMIT ?", TermRow
)
BEGINNINGS = Select(
    "SELECT beginning FROM suggested_beginnings WHERE first_letter = ? AND beginning >= ? LIMIT ?", BeginningRow
)
VIDEOS = Select(
    "SELECT videoid, added_date, name, preview_image_location, userid, description, tags FROM videos WHERE videoid IN ?",
    VideoRow,
)
NAMES = Select("SELECT videoid, userid, name, tags FROM videos WHERE videoid IN ?", NamedRow)
SAMPLE = Select("SELECT token(videoid), name, tags, description FROM videos LIMIT ?", SampleRow)

STATEMENTS = (POSTINGS, SPELLINGS, TERMS, TERMS_AFTER, BEGINNINGS, VIDEOS, NAMES, SAMPLE)


class SearchRepository:
    """Reads what finds videos."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def postings(self, words: Sequence[str], limit: int) -> list[list[Posting]]:
        """Up to `limit` postings of each word, best first, all read side by side."""
        return await asyncio.gather(*(self._database.select(POSTINGS, word, limit) for word in words))

    async def spellings(self, word: str, limit: int) -> set[str]:
        """Known words that share a spelling key with `word`, up to `limit` a key."""
        rows = await self._database.select(SPELLINGS, sorted(spelling_keys(word)), limit)
        return {row.word for row in rows}

    async def terms(self, beginning: str, after: str | None, limit: int) -> list[TermRow]:
        """Up to `limit` words and tags that begin with `beginning`, in the order of their code points, behind `after`."""
        if len(beginning) >= MAX_BEGINNING:
            return await self._terms_of(beginning_of(beginning), beginning, after, limit)
        found: list[TermRow] = []
        start = beginning_of(after or beginning)
        while True:
            # Hardly any of these is without a term, so one page of them is enough.
            rows = await self._database.select(BEGINNINGS, beginning, start, limit + 1)
            for first in range(0, len(rows), BEGINNINGS_AT_ONCE):
                some = rows[first : first + BEGINNINGS_AT_ONCE]
                missing = limit - len(found)
                for terms in await asyncio.gather(
                    *(self._terms_of(row.beginning, beginning, after, missing) for row in some)
                ):
                    found += terms
                if len(found) >= limit:
                    return found[:limit]
            if len(rows) <= limit:
                return found
            start = rows[-1].beginning + "\0"  # the next text in the order of code points

    async def _terms_of(self, partition: str, beginning: str, after: str | None, limit: int) -> list[TermRow]:
        statement, start = (TERMS, beginning) if after is None else (TERMS_AFTER, after)
        return await self._database.select(statement, partition, start, beginning + LAST_CHARACTER, limit)

    async def videos(self, video_ids: Sequence[UUID]) -> dict[UUID, VideoRow]:
        """Those of the videos that there are."""
        rows = await self._many(VIDEOS, video_ids)
        return {row.video_id: row for row in rows if row.user_id and row.added_date}

    async def names(self, video_ids: Sequence[UUID]) -> dict[UUID, NamedRow]:
        """Those of the videos that there are, with what is suggested because of them."""
        rows = await self._many(NAMES, video_ids)
        return {row.video_id: row for row in rows if row.user_id}

    async def sample(self, limit: int) -> list[SampleRow]:
        """The first `limit` videos on the ring, which is to say, any."""
        return await self._database.select(SAMPLE, limit)

    async def _many(self, statement: Select[Any], video_ids: Sequence[UUID]) -> Iterable[Any]:
        chunks = [video_ids[start : start + MAX_IDS_AT_ONCE] for start in range(0, len(video_ids), MAX_IDS_AT_ONCE)]
        answers = await asyncio.gather(*(self._database.select(statement, chunk) for chunk in chunks))
        return (row for rows in answers for row in rows)
