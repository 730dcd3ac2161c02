"""The plan by which all pages of a list are ranked: what stands for each word of the query, with weights.

A page token carries the plan, so that all pages of a list are ranked alike, whichever instance serves them and whatever the statistics are by
then. So a plan is input, and is checked.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from language.scoring import Lengths
from services.search.query_text import MAX_PARTS, MAX_SIGN_WORDS, MAX_WORDS

MAX_ROWS = 3000
MIN_ROWS_OF_A_WORD, MAX_ROWS_OF_A_WORD = 200, 2000
MAX_ROWS_WHEN_MEANT = 300
"""Postings that are read: of all words of a query together, of each word at least and at most, and of each where many lists are read because
words of the query may mean others."""

MAX_GROUPS = MAX_WORDS + MAX_SIGN_WORDS
MAX_ALTERNATIVES = 12
MAX_TERMS_TOGETHER = MAX_PARTS
MAX_TERMS_IN_ALL = 112
MAX_FEEDBACK_TERMS = 12

MAX_TERM_CHARACTERS = 500
"""A query has at most 500 characters, so no word of it has more."""

MILLION = 1_000_000
"""Weights are in whole millionths, so that every instance computes with the very same ones."""

MAX_WEIGHT = 500 * 50 * MILLION
"""In millionths: a query of 500 characters asks for a word fewer times, and no word is rarer than one video among 10^20."""

MAX_AVERAGE_LENGTH = 20_000.0

STANDS_FOR_IT, BELOW = 0, 1
"""How an alternative stands for its word: fully, or below the videos that have the word itself."""


class Alternative(NamedTuple):
    """Terms of the index that together stand for a word of the query, with their weight in millionths, and how they stand for it."""

    terms: tuple[str, ...]
    weight: int
    standing: int


Group = tuple[Alternative, ...]
"""The alternatives of one word of the query."""


class Plan(NamedTuple):
    """How a list is made: a group for each word of the query, the postings to read of each term, average lengths, and terms of the first results
    that add to the score of a video (weights in millionths).
    """

    groups: tuple[Group, ...]
    rows: int
    average: Lengths
    feedback: tuple[tuple[str, int], ...]

    def to_text(self) -> str:
        """The plan as text, for a token."""
        return json.dumps(self, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> "Plan":
        """The plan that a token carries. Raises ValueError unless it is one that search could have made, or reads no more than such a one."""
        try:
            groups, rows, average, feedback = json.loads(text)
            plan = cls(
                tuple(
                    tuple(Alternative(tuple(terms), weight, standing) for terms, weight, standing in group)
                    for group in groups
                ),
                rows,
                Lengths(*average),
                tuple((term, weight) for term, weight in feedback),
            )
            plan._require_bounds()
        except (TypeError, RecursionError) as error:
            raise ValueError(f"is no plan: {error}") from error
        # An escape of JSON may be half a character, which is no text: UnicodeEncodeError is a ValueError.
        "".join([*plan.terms, *(term for term, _ in plan.feedback)]).encode()
        return plan

    def _require_bounds(self) -> None:
        alternatives = [alternative for group in self.groups for alternative in group]
        terms = [*self.terms, *(term for term, _ in self.feedback)]
        max_rows = MAX_ROWS_WHEN_MEANT if self._may_have_guesses(alternatives) else rows_of_a_word(len(self.groups))
        if not (
            1 <= len(self.groups) <= MAX_GROUPS
            and all(1 <= len(group) <= MAX_ALTERNATIVES for group in self.groups)
            and all(1 <= len(alternative.terms) <= MAX_TERMS_TOGETHER for alternative in alternatives)
            and len(self.terms) <= MAX_TERMS_IN_ALL
            and len(self.feedback) <= MAX_FEEDBACK_TERMS
            and _is_integer(self.rows, 1, max_rows)
            and all(isinstance(term, str) and 0 < len(term) <= MAX_TERM_CHARACTERS for term in terms)
            and all(_is_integer(weight, 0, MAX_WEIGHT) for _, weight, _ in alternatives)
            and all(_is_integer(standing, STANDS_FOR_IT, BELOW) for *_, standing in alternatives)
            and all(_is_integer(weight, 0, MAX_WEIGHT) for _, weight in self.feedback)
            and all(isinstance(length, int | float) and 0 <= length <= MAX_AVERAGE_LENGTH for length in self.average)
        ):
            raise ValueError("is no plan of this service")

    def _may_have_guesses(self, alternatives: Sequence[Alternative]) -> bool:
        """Whether there are more alternatives than words as typed, neighbours written as one, and parts of words with signs."""
        single = {alternative.terms for alternative in alternatives if len(alternative.terms) == 1}
        together = sum(1 for alternative in alternatives if len(alternative.terms) > 1)
        return len(single) > 2 * len(self.groups) or together > min(MAX_SIGN_WORDS, len(self.groups))

    @property
    def terms(self) -> list[str]:
        """The terms that stand for words, each once."""
        return list(dict.fromkeys(term for group in self.groups for alternative in group for term in alternative.terms))


def rows_of_a_word(number_of_words: int) -> int:
    """How many postings of each word are read for a query of so many words."""
    return max(MIN_ROWS_OF_A_WORD, min(MAX_ROWS_OF_A_WORD, MAX_ROWS // max(number_of_words, 1)))


def _is_integer(value: object, minimum: int, maximum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum
