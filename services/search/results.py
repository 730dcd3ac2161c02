"""Which videos match a planned query, best first: postings are ranked in memory, and the rows of a page decide.

A posting is a hint. The row of `videos` tells whether the video is still there and still has one of the words.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from common.time_slices import checkpoint
from common.timestamps import to_ms
from language.text import holds_any
from language.word_index import Scorer
from services.search.query import MAX_WEIGHT, MAX_WORDS, PlannedQuery
from services.search.repository import Posting, SearchRepository, VideoRow

MAX_SCORE = MAX_WEIGHT * MAX_WORDS
"""The score of a video that matches all words of a query best."""

_SCORED_AT_ONCE = 512

_SPARE_ROWS = 3
"""Rows read beyond what a page needs, because some videos may be gone."""


class ResultKey(NamedTuple):
    """Where a video stands in a list: those with all words of the query (tier 1) before the others (0), then by score, then by id."""

    tier: int
    score: int
    video_id: UUID

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts keys as the list shows them; no two are equal."""
        return -self.tier, -self.score, self.video_id.int


class Candidate(NamedTuple):
    """A video that may match, of which submission its postings tell, and the terms that matched with what each adds to the score."""

    key: ResultKey
    added_ms: int
    matches: tuple[tuple[str, int], ...]


class SearchResult(NamedTuple):
    """A video that matches, where it stands, and the terms that matched with what each adds to the score."""

    row: VideoRow
    key: ResultKey
    matches: tuple[tuple[str, int], ...]


async def results(
    repository: SearchRepository, query: PlannedQuery, limit: int, after: ResultKey | None
) -> list[SearchResult]:
    """Up to `limit` videos that match, best first, behind `after`."""
    ranking = await _ranked(query)
    start = bisect_right(ranking.order, after.order) if after else 0
    found: list[SearchResult] = []
    while len(found) < limit and start < len(ranking.order):
        chunk = ranking.candidates(start, start + limit - len(found) + _SPARE_ROWS)
        start += len(chunk)
        rows = await repository.videos([candidate.key.video_id for candidate in chunk])
        for candidate in chunk:
            await checkpoint()
            row = rows.get(candidate.key.video_id)
            if row and _still_matches(row, candidate):
                found.append(SearchResult(row, candidate.key, candidate.matches))
    return found[:limit]


class _Ranking(NamedTuple):
    """All videos that the postings tell of: their order, best first, with ids as numbers; and by that number what is known of each."""

    order: list[tuple[int, int, int]]
    newest: dict[int, tuple[int, UUID]]
    matches: dict[int, list[tuple[str, int]]]

    def candidates(self, start: int, end: int) -> list[Candidate]:
        """Some of them, from one place in the order to before another."""
        return [
            Candidate(
                ResultKey(-tier, -score, self.newest[number][1]), self.newest[number][0], tuple(self.matches[number])
            )
            for tier, score, number in self.order[start:end]
        ]


async def _ranked(query: PlannedQuery) -> _Ranking:
    # Thousands of postings go through here: ids are compared as numbers, because comparing UUIDs costs many times as much.
    plan, postings = query
    newest = await _newest_submissions(postings.values())
    scorer = Scorer(plan.average)
    matches: dict[int, list[tuple[str, int]]] = {}
    for group in plan.groups:
        best: dict[int, tuple[float, str]] = {}
        for term, weight in group:
            await checkpoint()
            for video_id, added_ms, counts in postings[term]:
                number = video_id.int
                if added_ms != newest[number][0]:
                    continue  # left over from a video that was there before under this id
                score = weight * scorer.score(counts)
                if number not in best or best[number][0] < score:
                    best[number] = (score, term)
        await checkpoint()
        for number, (score, term) in best.items():
            matches.setdefault(number, []).append((term, round(score)))
    # One rare word may say more than two common ones: only having all the words comes before the score.
    wanted = len(plan.groups)
    order: list[tuple[int, int, int]] = []
    for number, found in matches.items():
        if len(order) % _SCORED_AT_ONCE == 0:
            await checkpoint()
        order.append((-(len(found) // wanted), -sum(score for _, score in found), number))
    await checkpoint()
    order.sort()
    return _Ranking(order, newest, matches)


async def _newest_submissions(lists: Iterable[Sequence[Posting]]) -> dict[int, tuple[int, UUID]]:
    """By the numbers of their ids: the submission of each video that its newest posting tells of, and the id."""
    newest: dict[int, tuple[int, UUID]] = {}
    for postings in lists:
        await checkpoint()
        for video_id, added_ms, _ in postings:
            number = video_id.int
            if number not in newest or added_ms > newest[number][0]:
                newest[number] = added_ms, video_id
    return newest


def _still_matches(row: VideoRow, candidate: Candidate) -> bool:
    """Whether a row is of the same submission as the postings, and has at least one of the words."""
    if to_ms(row.added_date) != candidate.added_ms:
        return False
    matched = {term for term, _ in candidate.matches}
    fields = (row.name or "", " ".join(row.tags or ()), row.description or "")
    return any(holds_any(field, matched) for field in fields)
