"""The pages of a planned query: candidates in their order, and the rows of `videos`, which decide.

A posting is a hint. The row tells whether the video is still there, still has one of the words, has the phrases, and has no excluded word.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from common.time_slices import checkpoint
from common.timestamps import to_ms
from language.compounds import joined
from language.signs import sign_words
from language.text import contains_run, folded, holds_any, is_unspaced, stem
from services.search.query_text import Words
from services.search.ranking import Candidate, Match, PlannedQuery, ResultKey, ranked
from services.search.repository import SearchRepository, VideoRow

_SPARE_ROWS = 3
"""Rows read beyond what a page needs, because some videos may be gone."""

MAX_ROWS_AT_ONCE = 100
MAX_ROWS_CHECKED = 1_000
"""Rows that one call reads at most, where most candidates turn out to lack a phrase or to be gone. The list ends there."""


class SearchResult(NamedTuple):
    """A video that matches, where it stands, and how it matches each word."""

    row: VideoRow
    key: ResultKey
    matches: tuple[Match, ...]


async def results(
    repository: SearchRepository, planned: PlannedQuery, limit: int, after: ResultKey | None
) -> list[SearchResult]:
    """Up to `limit` videos that match, best first, behind `after`."""
    ranking = await ranked(planned.plan, planned.postings, planned.required)
    excluded = _excluded_submissions(planned)
    start = bisect_right(ranking.order, after.order) if after else 0
    found: list[SearchResult] = []
    last = start + MAX_ROWS_CHECKED + limit
    at_once = limit + _SPARE_ROWS
    while len(found) < limit and start < min(last, len(ranking.order)):
        chunk = ranking.candidates(start, start + at_once)
        start += len(chunk)
        wanted = [each for each in chunk if (str(each.key.video_id), each.added_ms) not in excluded]
        rows = await repository.videos([candidate.key.video_id for candidate in wanted])
        for candidate in wanted:
            await checkpoint()
            row = rows.get(candidate.key.video_id)
            if row and _still_matches(row, candidate) and _is_wanted(row, planned):
                found.append(SearchResult(row, candidate.key, candidate.matches))
        at_once = max(limit - len(found) + _SPARE_ROWS, min(2 * at_once, MAX_ROWS_AT_ONCE))
    return found[:limit]


def _excluded_submissions(planned: PlannedQuery) -> set[tuple[str, int]]:
    """The submissions, each by its id and date, whose postings tell that they have an excluded word."""
    lists = (planned.postings[term] for term in planned.query.excluded_terms)
    return {(posting.video_id, posting.added_ms) for postings in lists for posting in postings}


def _still_matches(row: VideoRow, candidate: Candidate) -> bool:
    """Whether a row is of the same submission as the postings, and has at least one of the words; of several in place of one, side by side."""
    if to_ms(row.added_date) != candidate.added_ms:
        return False
    single = {match.terms[0] for match in candidate.matches if len(match.terms) == 1}
    if single and any(holds_any(text, single) for text in _texts(row)):
        return True
    beside = {term for text in (row.name or "", *(row.tags or ())) for term in joined(folded(text))}
    if single & beside or any(single.intersection(sign_words(text)) for text in _texts(row)):
        return True
    parts = [match.terms for match in candidate.matches if len(match.terms) > 1]
    return any(contains_run([stem(word) for word in folded(text)], run) for run in parts for text in _texts(row))


def _is_wanted(row: VideoRow, planned: PlannedQuery) -> bool:
    """Whether a row has each of the phrases, and none of what is excluded."""
    query = planned.query
    signs = [sign.term for sign in query.signs if sign.quoted]
    texts = [folded(text) for text in _texts(row)] if query.phrases or query.excluded else []
    return (
        all(any(contains_run(text, phrase) for text in texts) for phrase in query.phrases)
        and all(any(sign in sign_words(text) for text in _texts(row)) for sign in signs)
        and not any(_has_excluded(row, texts, words) for words in query.excluded)
    )


def _has_excluded(row: VideoRow, texts: Iterable[list[str]], words: Words) -> bool:
    if len(words) > 1 or is_unspaced(words[0]):
        return any(contains_run(text, words) for text in texts)
    [word] = words
    if folded(word) != [word]:  # one with signs
        return any(word in sign_words(text) for text in _texts(row))
    return any(holds_any(text, {stem(word)}) for text in _texts(row))


def _texts(row: VideoRow) -> list[str]:
    return [row.name or "", *(row.tags or ()), row.description or ""]
