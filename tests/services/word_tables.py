"""The tables that search reads, in memory: filled by the very steps that video_catalog would send to Cassandra."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common.database import IdText
from language.spelling import spelling_keys
from services.search.repository import NamedRow, Posting, SampleRow, TermRow, VideoRow
from services.video_catalog.index_plan import (
    DELETE_WORD,
    INSERT_SUGGESTED_TERM,
    INSERT_WORD,
    spelling_steps,
    steps_to_write,
)
from services.video_catalog.video import Video


class WordTables:
    """What SearchRepository reads, and how a video gets into it."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Video] = {}
        self._postings: dict[str, list[tuple[int, int, UUID, int, int]]] = defaultdict(list)
        self._spellings: dict[str, set[str]] = defaultdict(set)
        self._terms: dict[str, UUID] = {}
        self.read_rounds = 0
        self.rows_read = 0

    def submit(self, video: Video) -> None:
        """Write a video as video_catalog does."""
        steps, found = steps_to_write(video, self.rows.get(video.video_id))
        for statement, values in steps.all():
            if statement is INSERT_WORD:
                word, weight, added_ms, video_id, counts, title_hash = values
                key = (-weight, -added_ms, video_id, counts, title_hash)
                if key not in self._postings[word]:
                    insort(self._postings[word], key)
            elif statement is DELETE_WORD:
                self._postings[values[0]] = [
                    each for each in self._postings[values[0]] if each[:3] != (-values[1], -values[2], values[3])
                ]
            elif statement is INSERT_SUGGESTED_TERM:
                self._terms[values[1]] = values[2]
        for _, (key, word) in spelling_steps(found.shown_spellings | found.other_spellings):
            self._spellings[key].add(word)
        self.rows[video.video_id] = video

    def truncate_videos(self) -> None:
        """What the integration tests do between scenarios: the rows go, the index is not told."""
        self.rows.clear()

    async def postings(self, words: Sequence[str], limit: int) -> list[list[Posting]]:
        self.read_rounds += bool(words)
        return [
            [
                Posting(IdText(str(video_id)), -added_ms, counts, title_hash)
                for _, added_ms, video_id, counts, title_hash in self._postings[word][:limit]
            ]
            for word in words
        ]

    async def spellings(self, word: str, limit: int) -> set[str]:
        return {known for key in spelling_keys(word) for known in sorted(self._spellings[key])[:limit]}

    async def terms(self, beginning: str, after: str | None, limit: int) -> list[TermRow]:
        found = sorted(term for term in self._terms if term.startswith(beginning) and (after is None or term > after))
        return [TermRow(term, self._terms[term]) for term in found[:limit]]

    async def videos(self, video_ids: Sequence[UUID]) -> dict[UUID, VideoRow]:
        self.read_rounds += 1
        self.rows_read += len(video_ids)
        return {
            each: VideoRow(
                each, row.added_date, row.name, row.preview_image_location, row.user_id, row.description, row.tags
            )
            for each in video_ids
            if (row := self.rows.get(each))
        }

    async def names(self, video_ids: Iterable[UUID]) -> dict[UUID, NamedRow]:
        return {
            each: NamedRow(each, row.user_id, row.name, row.tags) for each in video_ids if (row := self.rows.get(each))
        }

    async def sample(self, limit: int) -> list[SampleRow]:
        rows = list(self.rows.values())[:limit]
        spacing = (1 << 64) // max(len(self.rows), 1)
        return [
            SampleRow(spacing * (number + 1) - (1 << 63), row.name, row.tags, row.description)
            for number, row in enumerate(rows)
        ]


def a_video(name: str, tags: Iterable[str] = (), description: str = "", **more: Any) -> Video:
    """A video with made-up ids and date."""
    fields: dict[str, Any] = {
        "video_id": UUID(int=next(_numbers)),
        "user_id": UUID(int=1),
        "added_date": datetime(2026, 1, 1),
        **more,
    }
    return Video(
        name=name,
        tags=frozenset(tags),
        description=description,
        location="x",
        location_type=0,
        preview_image_location="",
        **fields,
    )


_numbers = iter(range(1 << 64, 1 << 127))
