"""Which videos match a query, and which match best. Nothing here waits or reads: docs/search-and-suggestions.md has the formulas.

A query becomes a plan: for each word that it asks for, the words of the index that stand for it, each with its weight, and the average
lengths. A token carries the plan, so that all pages of a list are ranked alike, whichever instance gives them and whatever the
statistics are by then.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import NamedTuple
from uuid import UUID

from language.text import STOP_WORDS, folded, is_unspaced, pairs, stem
from language.word_index import Lengths, Scale
from services.search.repository import Posting

MAX_WORDS = 40
MAX_ROWS = 3000
MAX_ROWS_OF_A_WORD, MIN_ROWS_OF_A_WORD = 2000, 200

_MILLION = 1_000_000


class QueryWord(NamedTuple):
    """A word that a query asks for: as folded, as the index holds it, and how often it is asked for."""

    word: str
    term: str
    times: int


class Alternative(NamedTuple):
    """A word of the index that stands for a word of the query, with its weight in millionths."""

    term: str
    weight: int


class Plan(NamedTuple):
    """How a list is made: one group of alternatives for each word of the query, rows to read of each, and average lengths."""

    groups: tuple[tuple[Alternative, ...], ...]
    rows: int
    average: Lengths

    def written(self) -> str:
        """The plan as text, for a token."""
        return json.dumps([self.groups, self.rows, self.average], separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def read(cls, text: str) -> "Plan":
        """The plan that a token carries."""
        groups, rows, average = json.loads(text)
        bounded = min(rows, MAX_ROWS_OF_A_WORD)
        return cls(tuple(tuple(Alternative(*each) for each in group) for group in groups), bounded, Lengths(*average))

    @property
    def terms(self) -> list[str]:
        """The words of the index to read, each once."""
        return list(dict.fromkeys(each.term for group in self.groups for each in group))


class Candidate(NamedTuple):
    """A video that may match: whether it has all the words of the query (1) or some (0), how well it matches, and by which words of the index (with what each adds)."""

    tier: int
    score: int
    video_id: UUID
    added_ms: int
    matches: tuple[tuple[str, int], ...]

    @property
    def key(self) -> tuple[int, int, int]:
        """Sorts candidates as the list shows them."""
        return list_key(self.tier, self.score, self.video_id)


def list_key(tier: int, score: int, video_id: UUID) -> tuple[int, int, int]:
    """Sorts places of a list: all of the query's words first, then what matches better; equals by id, so that no two are level."""
    return -tier, -score, video_id.int


def query_words(query: str) -> list[QueryWord]:
    """The words that a query asks for, in order, each once: without stop words, unless it has nothing else."""
    words = folded(query)
    telling = [word for word in words if word not in STOP_WORDS] or words
    times: dict[str, int] = {}
    first: dict[str, str] = {}
    for word in telling:
        for term in pairs(word) if is_unspaced(word) else [stem(word)]:
            times[term] = times.get(term, 0) + 1
            first.setdefault(term, word)
    return [QueryWord(first[term], term, count) for term, count in list(times.items())[:MAX_WORDS]]


def rows_of_a_word(words: int) -> int:
    """How many postings of each word are read for a query of so many."""
    return max(MIN_ROWS_OF_A_WORD, min(MAX_ROWS_OF_A_WORD, MAX_ROWS // max(words, 1)))


def rarity(videos_with: float, videos: float) -> float:
    """How telling a word is: BM25's inverse document frequency, in the form that is never negative (as in Lucene)."""
    return log(1 + (max(videos, videos_with) - videos_with + 0.5) / (videos_with + 0.5))


def in_millionths(weight: float) -> int:
    """A weight as tokens carry it: whole, so that every instance computes with the very same."""
    return round(weight * _MILLION)


def ranked(plan: Plan, postings: Mapping[str, Sequence[Posting]]) -> list[Candidate]:
    """All videos that the postings tell of, best first."""
    # Thousands of postings go through here: ids are compared as numbers, because comparing UUIDs costs many times as much.
    ids, newest = _newest(postings.values())
    scale = Scale(plan.average)
    matches: dict[int, list[tuple[str, int]]] = {}
    for group in plan.groups:
        best: dict[int, tuple[float, str]] = {}
        for term, weight in group:
            for video_id, added_ms, counts in postings[term]:
                number = video_id.int
                if added_ms != newest[number]:
                    continue  # left over from a video that was there before under this id
                worth = weight * scale.worth(counts)
                if number not in best or best[number][0] < worth:
                    best[number] = (worth, term)
        for number, (worth, term) in best.items():
            matches.setdefault(number, []).append((term, round(worth)))
    # One rare word may say more than two common ones: only having all the words comes before the score.
    wanted = len(plan.groups)
    places = [(-(len(found) // wanted), -sum(worth for _, worth in found), number) for number, found in matches.items()]
    places.sort()
    return [
        Candidate(-tier, -score, ids[number], newest[number], tuple(matches[number])) for tier, score, number in places
    ]


def _newest(lists: Iterable[Sequence[Posting]]) -> tuple[dict[int, UUID], dict[int, int]]:
    """The videos by the numbers of their ids, and of each the submission that its newest posting tells of."""
    ids: dict[int, UUID] = {}
    newest: dict[int, int] = {}
    for postings in lists:
        for video_id, added_ms, _ in postings:
            number = video_id.int
            if number not in newest or added_ms > newest[number]:
                ids[number], newest[number] = video_id, added_ms
    return ids, newest
