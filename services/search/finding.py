"""Finding videos: one round of reads for the postings of the query's words, one for the rows of a page.

A word that nothing has costs two rounds more: for what may have been meant by it, and for the postings of that.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from common.timestamps import to_ms
from language.text import has_spelling, holds_any, one_edit_apart, stem, terms, words
from services.search.ranking import (
    Alternative,
    Candidate,
    Plan,
    QueryWord,
    in_millionths,
    list_key,
    query_words,
    ranked,
    rarity,
    rows_of_a_word,
)
from services.search.repository import Posting, SearchRepository, VideoRow
from services.search.statistics import Sampler, Statistics

MAX_OF_A_SPELLING_KEY = 50
MAX_MEANT, MAX_MEANT_IN_ALL = 24, 48
MAX_ROWS_WHEN_MEANT = 400
MAX_ALTERNATIVES = 6
MAX_BEGUN = 20
MIN_BEGINNING = 2

LESS_FREQUENT = 0.9
"""Of the words that may have been meant, each counts so much less than the more frequent one before it."""


class Place(NamedTuple):
    """The place of a video in a list."""

    tier: int
    score: int
    video_id: UUID


class Found(NamedTuple):
    """A video that was found, its place, and the words of the index that it matched, with what each added."""

    row: VideoRow
    place: Place
    matches: tuple[tuple[str, int], ...]


class Finder:
    """Finds videos by words."""

    def __init__(self, repository: SearchRepository) -> None:
        self._repository = repository
        self._sampler = Sampler(repository)

    async def find(self, query: str, limit: int, plan: Plan | None, after: Place | None) -> tuple[list[Found], Plan]:
        """Up to `limit` videos, best first, behind `after`; and the plan by which the list goes on."""
        if plan is None:
            plan, postings = await self._planned(query)
        else:
            postings = await self._postings(plan.terms, plan.rows)
        candidates = ranked(plan, postings)
        if after:
            key = list_key(*after)
            candidates = [each for each in candidates if each.key > key]
        return await self._verified(candidates, limit), plan

    async def _planned(self, query: str) -> tuple[Plan, dict[str, Sequence[Posting]]]:
        """The plan of a query, with the postings that were read to make it."""
        asked = query_words(query)
        rows = rows_of_a_word(len(asked))
        postings = await self._postings([word.term for word in asked], rows)
        statistics = await self._sampler.statistics()
        typed = words(query)
        last = typed[-1] if typed and query.rstrip().lower().endswith(typed[-1]) else ""
        meant = {
            word.term: await self._meant(word.word, last if stem_of(last) == word.term else "")
            for word in asked
            if not postings[word.term]
        }
        if any(meant.values()):
            # Many lists may have to be read now, so less of each; and of those read already no more counts, for the next page reads so much.
            rows = min(rows, MAX_ROWS_WHEN_MEANT)
            postings = {term: found[:rows] for term, found in postings.items()}
            unread = [term for candidates in meant.values() for term in candidates if term not in postings]
            postings |= await self._postings(list(dict.fromkeys(unread))[:MAX_MEANT_IN_ALL], rows)
        groups = [_group(word, meant.get(word.term, []), postings, statistics, rows) for word in asked]
        return Plan(tuple(groups), rows, statistics.average), postings

    async def _postings(self, terms: Sequence[str], limit: int) -> dict[str, Sequence[Posting]]:
        return dict(zip(terms, await self._repository.postings(terms, limit), strict=True))

    async def _meant(self, word: str, beginning: str) -> list[str]:
        """The words of the index that somebody may have meant by `word`, who has just begun to type `beginning` or typed it wrong."""
        meant: set[str] = set()
        if len(beginning) >= MIN_BEGINNING and not any(map(str.isdigit, beginning)):
            begun = await self._repository.terms(beginning, None, MAX_BEGUN)
            meant.update(stem_of(row.term) for row in begun if len(words(row.term)) == 1)
        if has_spelling(word) or len(word) == MIN_BEGINNING:
            known = await self._repository.spellings(word, MAX_OF_A_SPELLING_KEY)
            meant.update(stem(each) for each in known if one_edit_apart(word, each))
        return sorted(meant - {""})[:MAX_MEANT]

    async def _verified(self, candidates: Sequence[Candidate], limit: int) -> list[Found]:
        """The first `limit` candidates whose rows are there and still have one of the words."""
        found: list[Found] = []
        at = 0
        while len(found) < limit and at < len(candidates):
            chunk = candidates[at : at + limit - len(found) + 3]
            at += len(chunk)
            rows = await self._repository.videos([each.video_id for each in chunk])
            for candidate in chunk:
                row = rows.get(candidate.video_id)
                if row and _still_holds(row, candidate):
                    place = Place(candidate.tier, candidate.score, candidate.video_id)
                    found.append(Found(row, place, candidate.matches))
        return found[:limit]


def stem_of(text: str) -> str:
    """The word of the index of a text that is one word; '' of any other."""
    found = terms(text)
    return found[0] if len(found) == 1 else ""


def _group(
    word: QueryWord,
    meant: Sequence[str],
    postings: Mapping[str, Sequence[Posting]],
    statistics: Statistics,
    rows: int,
) -> tuple[Alternative, ...]:
    """What stands for a word of the query: the word itself, or what may have been meant by it, the more frequent first."""
    frequency = {
        term: statistics.videos_with(term, len(postings[term]), rows)
        for term in (meant or [word.term])
        if postings.get(term)
    }
    if not frequency:
        return (Alternative(word.term, 0),)
    by_frequency = sorted(frequency, key=lambda term: (-frequency[term], term))[:MAX_ALTERNATIVES]
    weight = word.times * rarity(frequency[by_frequency[0]], statistics.videos)
    return tuple(
        Alternative(term, in_millionths(weight * LESS_FREQUENT**place)) for place, term in enumerate(by_frequency)
    )


def _still_holds(row: VideoRow, candidate: Candidate) -> bool:
    """Whether a row is of the submission that the postings told of, and has at least one of the words."""
    if to_ms(row.added_date) != candidate.added_ms:
        return False
    matched = {term for term, _ in candidate.matches}
    fields = (row.name or "", " ".join(row.tags or ()), row.description or "")
    return any(holds_any(field, matched) for field in fields)
