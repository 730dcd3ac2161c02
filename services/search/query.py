"""What a query asks for: its words, what may have been meant by them, and the plan by which all pages of its list are ranked.

One round of reads fetches the postings of the query's words. Words that no video has cost two rounds more, however many they are: for what may
have been meant by them, and for the postings of that. A page token carries the plan, so that all pages of a list are ranked alike, whichever instance serves
them and whatever the statistics are by then. docs/search-and-suggestions.md has the formulas.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

from language.spelling import has_spelling, one_edit_apart
from language.text import STOP_WORDS, bigrams, folded, is_unspaced, stem, terms, words
from language.word_index import Lengths
from services.search.repository import Posting, SearchRepository
from services.search.statistics import Sampler, Statistics

MAX_WORDS = 40
MAX_ROWS = 3000
MIN_ROWS_OF_A_WORD, MAX_ROWS_OF_A_WORD = 200, 2000

MAX_ROWS_OF_A_SPELLING_KEY = 350
"""All that 26 letters can put under a key of 12 letters: the key itself, and with one letter more at any of 13 places."""

MAX_MEANT, MAX_MEANT_IN_ALL = 24, 48
MAX_ROWS_WHEN_MEANT = 400
MAX_ALTERNATIVES = 6
MAX_COMPLETIONS = 20
MIN_CHARACTERS_TO_COMPLETE = 2

LESS_FREQUENT = 0.9
"""Of the words that may have been meant, each counts so much less than the more frequent one before it."""

MAX_TERM_CHARACTERS, MAX_MEANT_CHARACTERS = 500, 100
"""A query has at most 500 characters, so no word of it has more. Corrections and completions are shorter, so that a plan fits into a token."""

_MILLION = 1_000_000

MAX_WEIGHT = 500 * 50 * _MILLION
"""In millionths: a query of 500 characters asks for a word fewer times, and no word is rarer than one video among 10^20."""

MAX_AVERAGE_LENGTH = 20_000.0

PostingLists = Mapping[str, Sequence[Posting]]
"""The postings of each term, best first."""


class QueryWord(NamedTuple):
    """A word that a query asks for: as folded, as the index holds it, and how often it is asked for."""

    word: str
    term: str
    times: int


class Alternative(NamedTuple):
    """A term of the index that stands for a word of the query, with its weight in millionths."""

    term: str
    weight: int


class Plan(NamedTuple):
    """How a list is made: a group of alternatives for each word of the query, the postings to read of each, and average lengths."""

    groups: tuple[tuple[Alternative, ...], ...]
    rows: int
    average: Lengths

    def to_text(self) -> str:
        """The plan as text, for a token."""
        return json.dumps([self.groups, self.rows, self.average], separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> "Plan":
        """The plan that a token carries. Raises ValueError unless it is one that `plan` could have made, or reads no more than such a one."""
        try:
            groups, rows, average = json.loads(text)
            plan = cls(
                tuple(tuple(Alternative(*alternative) for alternative in group) for group in groups),
                rows,
                Lengths(*average),
            )
        except (TypeError, RecursionError) as error:
            raise ValueError(f"is no plan: {error}") from error
        plan._require_bounds()
        "".join(
            plan.terms
        ).encode()  # an escape of JSON may be half a character, which is no text: UnicodeEncodeError is a ValueError
        return plan

    def _require_bounds(self) -> None:
        alternatives = [alternative for group in self.groups for alternative in group]
        has_corrections = len(alternatives) > len(self.groups)
        max_rows = min(
            _rows_of_a_word(len(self.groups)), MAX_ROWS_WHEN_MEANT if has_corrections else MAX_ROWS_OF_A_WORD
        )
        if not (
            1 <= len(self.groups) <= MAX_WORDS
            and all(1 <= len(group) <= MAX_ALTERNATIVES for group in self.groups)
            and len(alternatives) <= MAX_WORDS + MAX_MEANT_IN_ALL
            and _is_integer(self.rows, 1, max_rows)
            and all(isinstance(term, str) and 0 < len(term) <= MAX_TERM_CHARACTERS for term, _ in alternatives)
            and all(_is_integer(weight, 0, MAX_WEIGHT) for _, weight in alternatives)
            and all(isinstance(length, int | float) and 0 <= length <= MAX_AVERAGE_LENGTH for length in self.average)
        ):
            raise ValueError("is no plan of this service")

    @property
    def terms(self) -> list[str]:
        """The terms to read, each once."""
        return list(dict.fromkeys(alternative.term for group in self.groups for alternative in group))


class PlannedQuery(NamedTuple):
    """A plan, and the postings that it is applied to."""

    plan: Plan
    postings: PostingLists


class QueryPlanner:
    """Turns queries into plans, and reads the postings for them."""

    def __init__(self, repository: SearchRepository) -> None:
        self._repository = repository
        self._sampler = Sampler(repository)

    async def plan(self, query: str) -> PlannedQuery:
        """The plan of a query that is asked for the first time, with the postings that were read to make it."""
        asked = _query_words(query)
        rows = _rows_of_a_word(len(asked))
        postings = await self._postings([word.term for word in asked], rows)
        statistics = await self._sampler.statistics()
        unfinished = _unfinished_word(query)
        unfinished_term = _single_term(unfinished)
        unknown = [word for word in asked if not postings[word.term]]
        found = await asyncio.gather(
            *(self._meant(word.word, unfinished if word.term == unfinished_term else "") for word in unknown)
        )
        meant = dict(zip((word.term for word in unknown), found, strict=True))
        if any(meant.values()):
            # Many lists may have to be read now, so fewer rows of each. Of the lists read already no more rows count, because the next page
            # reads so many.
            rows = min(rows, MAX_ROWS_WHEN_MEANT)
            postings = {term: found[:rows] for term, found in postings.items()}
            unread = [term for candidates in meant.values() for term in candidates if term not in postings]
            postings |= await self._postings(list(dict.fromkeys(unread))[:MAX_MEANT_IN_ALL], rows)
        groups = [_alternatives(word, meant.get(word.term, []), postings, statistics, rows) for word in asked]
        return PlannedQuery(Plan(tuple(groups), rows, statistics.average), postings)

    async def resume(self, plan: Plan) -> PlannedQuery:
        """A query whose plan came with a page token."""
        return PlannedQuery(plan, await self._postings(plan.terms, plan.rows))

    async def _postings(self, terms: Sequence[str], limit: int) -> dict[str, Sequence[Posting]]:
        return dict(zip(terms, await self._repository.postings(terms, limit), strict=True))

    async def _meant(self, word: str, unfinished: str) -> list[str]:
        """The terms of the index that a person may have meant who mistyped `word`, or who has not typed all of `unfinished`."""
        completions, corrections = await asyncio.gather(self._completions(unfinished), self._corrections(word))
        meant = completions | corrections
        return sorted(term for term in meant if 0 < len(term) <= MAX_MEANT_CHARACTERS)[:MAX_MEANT]

    async def _completions(self, unfinished: str) -> set[str]:
        if len(unfinished) < MIN_CHARACTERS_TO_COMPLETE or any(map(str.isdigit, unfinished)):
            return set()
        known = await self._repository.terms(unfinished, None, MAX_COMPLETIONS)
        return {_single_term(row.term) for row in known if len(words(row.term)) == 1}

    async def _corrections(self, word: str) -> set[str]:
        if not has_spelling(word) and len(word) != MIN_CHARACTERS_TO_COMPLETE:
            return set()
        known = await self._repository.spellings(word, MAX_ROWS_OF_A_SPELLING_KEY)
        return {stem(spelling) for spelling in known if one_edit_apart(word, spelling)}


def _query_words(query: str) -> list[QueryWord]:
    """The words that a query asks for, in order, each once: without stop words, unless it has nothing else."""
    all_words = folded(query)
    content_words = [word for word in all_words if word not in STOP_WORDS] or all_words
    times: dict[str, int] = {}
    first: dict[str, str] = {}
    for word in content_words:
        for term in bigrams(word) if is_unspaced(word) else [stem(word)]:
            times[term] = times.get(term, 0) + 1
            first.setdefault(term, word)
    return [QueryWord(first[term], term, count) for term, count in list(times.items())[:MAX_WORDS]]


def _is_integer(value: object, minimum: int, maximum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum


def _rows_of_a_word(number_of_words: int) -> int:
    """How many postings of each word are read for a query of so many words."""
    return max(MIN_ROWS_OF_A_WORD, min(MAX_ROWS_OF_A_WORD, MAX_ROWS // max(number_of_words, 1)))


def _unfinished_word(query: str) -> str:
    """The last word of a query that ends with it, in lower case; '' where something follows the word."""
    typed = words(query)
    return typed[-1] if typed and query.rstrip().lower().endswith(typed[-1]) else ""


def _single_term(text: str) -> str:
    """The term of a text that has exactly one; '' of any other."""
    found = terms(text)
    return found[0] if len(found) == 1 else ""


def _alternatives(
    word: QueryWord, meant: Sequence[str], postings: PostingLists, statistics: Statistics, rows: int
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
    weight = word.times * _inverse_document_frequency(frequency[by_frequency[0]], statistics.videos)
    # In whole millionths, so that every instance computes with the very same weights.
    return tuple(
        Alternative(term, round(weight * LESS_FREQUENT**rank * _MILLION)) for rank, term in enumerate(by_frequency)
    )


def _inverse_document_frequency(videos_with: float, videos: float) -> float:
    """How much a word says: BM25's inverse document frequency, in the form that is never negative (as in Lucene)."""
    return log(1 + (max(videos, videos_with) - videos_with + 0.5) / (videos_with + 0.5))
