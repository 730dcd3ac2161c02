"""Joined and split words: `micro services` and `microservices` are the same to those who look for them.

Of `micro services in java` the neighbours `micro` and `services` are joined to the term `microservic`; `microservices` can be split into `micro`
and `services`, and in other ways that are no words.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from language.text import STOP_WORDS, is_unspaced, stem

MIN_JOINED, MAX_JOINED = 4, 40
"""Characters of two neighbours together that are also looked up joined."""

MIN_PART = 3
"""Characters of a part: any two letters are a word somewhere."""

MAX_SPLIT = 20
"""Characters of a word that is looked up split."""


def joined(folded_words: Iterable[str]) -> Iterator[str]:
    """The index terms of each two neighbours written as one word; two numbers, stop words and scripts without spaces join with nothing."""
    for one, other in pairwise(folded_words):
        if (
            MIN_JOINED <= len(one) + len(other) <= MAX_JOINED
            and one not in STOP_WORDS
            and other not in STOP_WORDS
            and not (one.isdigit() and other.isdigit())
            and not is_unspaced(one)
            and not is_unspaced(other)
        ):
            yield stem(one + other)


def split_in_two(folded_word: str) -> list[tuple[str, str]]:
    """All ways to split a folded word in two; none for a word that is too long, or has a script without spaces."""
    if len(folded_word) > MAX_SPLIT or is_unspaced(folded_word):
        return []
    return [(folded_word[:at], folded_word[at:]) for at in range(MIN_PART, len(folded_word) - MIN_PART + 1)]
