"""Suggesting words and tags while one types.

The table of suggestions is a hint: each entry names a video that was submitted with it. An entry is shown if that video still has it, or
else if another does that is found by the entry's words.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from common.time_slices import checkpoint
from language.text import STOP_WORDS, terms
from language.word_index import suggested_terms
from services.search.repository import NamedRow, SearchRepository, TermRow

MAX_CHARACTERS = 1000
MIN_AT_ONCE, MAX_AT_ONCE = 16, 200
MAX_ROUNDS = 20
MAX_OTHERS = 20


class Suggester:
    """Suggests what begins with a text."""

    def __init__(self, repository: SearchRepository) -> None:
        self._repository = repository

    async def suggest(self, query: str, limit: int) -> list[str]:
        """Up to `limit` words and tags of videos that begin with a text, sorted by code point."""
        beginning = query.strip().lower()
        if not beginning or len(beginning) > MAX_CHARACTERS:
            return []
        at_once = min(max(limit + limit // 4, MIN_AT_ONCE), MAX_AT_ONCE)
        found: list[str] = []
        after: str | None = None
        for _ in range(MAX_ROUNDS):
            entries = await self._repository.terms(beginning, after, at_once)
            found += await self._current([entry for entry in entries if entry.term not in STOP_WORDS])
            if len(found) >= limit or len(entries) < at_once:
                break
            after, at_once = entries[-1].term, MAX_AT_ONCE  # few of them are current: look further at once
        return found[:limit]

    async def _current(self, entries: Sequence[TermRow]) -> list[str]:
        """The entries that a video still has."""
        rows = await self._repository.names(_distinct(entry.video_id for entry in entries))
        suggested = await _suggested_by(rows)
        uncertain = [entry.term for entry in entries if entry.term not in suggested.get(entry.video_id, ())]
        gone = set(uncertain) - await self._had_by_others(uncertain)
        return [entry.term for entry in entries if entry.term not in gone]

    async def _had_by_others(self, suggestions: Sequence[str]) -> set[str]:
        """Those of the suggestions that a video still has. The postings of their longest word lead to the videos."""
        if not suggestions:
            return set()
        longest_word = {term: max(terms(term), key=len, default="") for term in suggestions}
        searched = [term for term in suggestions if longest_word[term]]
        lists = await self._repository.postings([longest_word[term] for term in searched], MAX_OTHERS)
        others = {
            term: [UUID(posting.video_id) for posting in postings]
            for term, postings in zip(searched, lists, strict=True)
        }
        rows = await self._repository.names(_distinct(video_id for ids in others.values() for video_id in ids))
        suggested = await _suggested_by(rows)
        return {term for term, ids in others.items() if any(term in suggested.get(each, ()) for each in ids)}


async def _suggested_by(rows: Mapping[UUID, NamedRow]) -> dict[UUID, set[str]]:
    """What may be suggested because of each video."""
    suggested: dict[UUID, set[str]] = {}
    for video_id, row in rows.items():
        await checkpoint()
        suggested[video_id] = suggested_terms(row.name or "", row.tags or ())
    return suggested


def _distinct(ids: Iterable[UUID]) -> list[UUID]:
    return list(dict.fromkeys(ids))
