"""What somebody may have meant by a word that no video has, or very few: a mistyped word, an unfinished one, or two words written as one.

A word of three letters or fewer, a number and a stop word are never corrected, and words in quotes stand as they are.
"""

import asyncio
from collections.abc import Iterable

from language.compounds import split_in_two
from language.spelling import has_spelling, one_edit_apart
from language.text import STOP_WORDS, stem, terms, words
from services.search.repository import SearchRepository

MIN_CORRECTED, MIN_COMPLETED = 4, 3
"""Letters that a word has at least, if it is to be corrected or completed."""

MAX_ROWS_OF_A_SPELLING_KEY = 350
"""All that 26 letters can put under a key of 12 letters: the key itself, and with one letter more at any of 13 places."""

MAX_CORRECTIONS, MAX_COMPLETIONS = 16, 20
MAX_GUESS_CHARACTERS = 100
"""Corrections and completions are shorter than words of a query, so that a plan fits into a token."""

_SHORT = 4
"""Letters of a word that is so short that another with one letter replaced or left out is hardly a mistake."""


Terms = tuple[str, ...]
"""Terms of the index that together may stand for a word."""


async def guesses(repository: SearchRepository, word: str, unfinished: str, *, alone: bool) -> list[Terms]:
    """What may be meant by a folded word, the likeliest first; `unfinished` is the word as typed, if more may follow. Where it is like no other word,
    it may be two.

    A short word that is `alone` in its query is corrected only where letters are swapped, or one is missing behind the first: what else is one letter
    away is hardly what was meant.
    """
    corrections, completions = await asyncio.gather(
        _corrections(repository, word, alone), _completions(repository, unfinished)
    )
    return list(dict.fromkeys([*corrections, *completions])) or split(word)


def split(word: str) -> list[Terms]:
    """All that a folded word may stand for that was written as two."""
    return [(stem(one), stem(other)) for one, other in split_in_two(word)]


def can_be_completed(word: str) -> bool:
    """Whether a word as typed may be the beginning of another."""
    return len(word) >= MIN_COMPLETED and word not in STOP_WORDS and not any(map(str.isdigit, word))


async def _corrections(repository: SearchRepository, word: str, alone: bool) -> list[Terms]:
    if not has_spelling(word) or len(word) < MIN_CORRECTED or word in STOP_WORDS:
        return []
    known = await repository.spellings(word, MAX_ROWS_OF_A_SPELLING_KEY)
    near = sorted((_unlikeliness(word, other), other) for other in known if one_edit_apart(word, other))
    only_likely = alone and len(word) <= _SHORT
    return _usable((stem(other),) for how, other in near if how <= (_MISSING, False) or not only_likely)[
        :MAX_CORRECTIONS
    ]


async def _completions(repository: SearchRepository, unfinished: str) -> list[Terms]:
    if not can_be_completed(unfinished):
        return []
    known = await repository.terms(unfinished, None, MAX_COMPLETIONS)
    single = (terms(row.term) for row in known if len(words(row.term)) == 1)
    return _usable((found[0],) for found in single if len(found) == 1)


_SWAPPED, _MISSING, _TOO_MANY_OR_ANOTHER = range(3)


def _unlikeliness(typed: str, meant: str) -> tuple[int, bool]:
    """Sorts corrections: letters swapped, one missing, one too many or another; then whether not even the first letter is the same."""
    if len(typed) == len(meant) and sorted(typed) == sorted(meant):
        kind = _SWAPPED
    else:
        kind = _MISSING if len(typed) < len(meant) else _TOO_MANY_OR_ANOTHER
    return kind, typed[0] != meant[0]


def _usable(found: Iterable[Terms]) -> list[Terms]:
    return [guess for guess in found if 0 < len(guess[0]) <= MAX_GUESS_CHARACTERS]
