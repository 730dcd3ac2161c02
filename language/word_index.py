"""What of a video the word index holds, and how well a video matches: shared by its writer (video_catalog) and its readers.

A posting says in one row of `video_words` that a video holds a word, how often in which field, and how long its fields are. It is
a hint: the row of `videos` tells whether it still does. The weight is that of BM25F with middling lengths, so a word's postings
stand best first and a reader may stop early; the exact score is computed from the counts, when it is asked for, by what the lengths
then are on average.

BM25F: S. Robertson, H. Zaragoza, M. Taylor, "Simple BM25 extension to multiple weighted fields", CIKM 2004.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from language.text import STOP_WORDS, folded, has_spelling, is_unspaced, pairs, stem

NAME_WEIGHT, TAGS_WEIGHT, DESCRIPTION_WEIGHT = 4.0, 2.0, 1.0
"""How much more an occurrence counts in a name than in a tag, and in a tag than in a description (contract, section 3)."""

NAME_LENGTH_NORM, TAGS_LENGTH_NORM, DESCRIPTION_LENGTH_NORM = 0.3, 0.4, 0.75
"""BM25's b of each field: names differ little in length, and a long one is no worse for it; a long description says much of all."""

SATURATION = 1.5
"""BM25's k1, on the scale of the weights: one occurrence in a name is worth three quarters of what many are."""

MIN_NORM, MIN_DESCRIPTION_NORM = 0.7, 0.55
MAX_NAME_NORM, MAX_TAGS_NORM = 1.35, 1.05
"""How much the length of a field may change what an occurrence counts: so that one in a name always counts more than one in a tag, and one in
a tag more than one in a description, however short or long they are (4 / 1.35 > 2 / 0.7, 2 / 1.05 > 1 / 0.55). Only a long description may
count less still. Descriptions differ most in length, so theirs has the most room."""

_SMALL, _LARGE = 8, 12  # bits of a count and of the length of a description
_MAX_SMALL, _MAX_LARGE = (1 << _SMALL) - 1, (1 << _LARGE) - 1
_WEIGHT_STEPS = 100


class Lengths(NamedTuple):
    """How many words (stop words apart) the fields of a video have, or have on average."""

    name: float
    tags: float
    description: float


MIDDLING = Lengths(6.0, 15.0, 60.0)
"""Lengths by which postings are ordered, whatever the data: the order must not change while the data grow."""


class Analysis(NamedTuple):
    """A video's text taken apart."""

    counts: Mapping[str, int]
    """By word of the index: how often it occurs in which field, packed into one number with the lengths of the fields."""
    shown_spellings: frozenset[str]
    """The words of name and tags as they are written (without case and accents), that typing mistakes may be corrected to."""
    other_spellings: frozenset[str]
    """Those of the description alone."""


class _Field(NamedTuple):
    occurrences: dict[str, int]
    length: int
    spellings: set[str]


def analyse(name: str, tags: Iterable[str], description: str) -> Analysis:
    """The words of a video with their counts. Stop words count in names and tags only: no description is looked for by them."""
    in_name, in_tags = _field([name], True), _field(tags, True)
    in_description = _field([description], False)
    lengths = (
        min(in_name.length, _MAX_SMALL) << (2 * _SMALL + _LARGE)
        | min(in_tags.length, _MAX_SMALL) << (_SMALL + _LARGE)
        | min(in_description.length, _MAX_LARGE) << _SMALL
    )
    found = in_name.occurrences.keys() | in_tags.occurrences.keys() | in_description.occurrences.keys()
    counts = {
        word: (
            min(in_name.occurrences.get(word, 0), _MAX_SMALL) << (4 * _SMALL + _LARGE)
            | min(in_tags.occurrences.get(word, 0), _MAX_SMALL) << (3 * _SMALL + _LARGE)
            | lengths
            | min(in_description.occurrences.get(word, 0), _MAX_SMALL)
        )
        for word in found
    }
    shown = frozenset(in_name.spellings | in_tags.spellings)
    return Analysis(counts, shown, frozenset(in_description.spellings - shown))


def _field(texts: Iterable[str], with_stop_words: bool) -> _Field:
    occurrences: dict[str, int] = {}
    length = 0
    spellings: set[str] = set()
    for text in texts:
        for word in folded(text):
            made = _made_of(word)
            length += made.length
            if made.is_spelling:
                spellings.add(word)
            if made.length or with_stop_words:
                for term in made.terms:
                    occurrences[term] = occurrences.get(term, 0) + 1
    return _Field(occurrences, length, spellings)


class _Word(NamedTuple):
    terms: tuple[str, ...]
    length: int
    is_spelling: bool


@lru_cache(maxsize=20_000)
def _made_of(word: str) -> _Word:
    """What one folded word comes to; most of a text's words have been met before."""
    if word in STOP_WORDS:
        return _Word((stem(word),), 0, False)
    if is_unspaced(word):
        return _Word((*pairs(word), *(word if len(word) > 1 else "")), max(1, len(word) - 1), False)
    return _Word((stem(word),), 1, has_spelling(word))


class Scale:
    """Turns counts into how much a word's match is worth, 0 to 1, for given average lengths."""

    def __init__(self, average: Lengths) -> None:
        self._name = NAME_LENGTH_NORM / max(average.name, 1.0)
        self._tags = TAGS_LENGTH_NORM / max(average.tags, 1.0)
        self._description = DESCRIPTION_LENGTH_NORM / max(average.description, 1.0)

    def worth(self, counts: int) -> float:
        """BM25F's saturated frequency of a word whose packed counts these are."""
        in_description = counts & _MAX_SMALL
        in_tags = counts >> (3 * _SMALL + _LARGE) & _MAX_SMALL
        in_name = counts >> (4 * _SMALL + _LARGE)
        frequency = 0.0
        if in_name:
            norm = 1 - NAME_LENGTH_NORM + self._name * (counts >> (2 * _SMALL + _LARGE) & _MAX_SMALL)
            frequency += NAME_WEIGHT * in_name / min(max(norm, MIN_NORM), MAX_NAME_NORM)
        if in_tags:
            norm = 1 - TAGS_LENGTH_NORM + self._tags * (counts >> (_SMALL + _LARGE) & _MAX_SMALL)
            frequency += TAGS_WEIGHT * in_tags / min(max(norm, MIN_NORM), MAX_TAGS_NORM)
        if in_description:
            norm = 1 - DESCRIPTION_LENGTH_NORM + self._description * (counts >> _SMALL & _MAX_LARGE)
            frequency += DESCRIPTION_WEIGHT * in_description / max(norm, MIN_DESCRIPTION_NORM)
        return frequency / (SATURATION + frequency)


_middling = Scale(MIDDLING)


def weight(counts: int) -> int:
    """The weight of a posting, 0 to 100, by which a word's postings are ordered."""
    return round(_middling.worth(counts) * _WEIGHT_STEPS)


def in_name_or_tags(counts: int) -> bool:
    """Whether a word is in the name or a tag, and not only in the description."""
    return counts >> (3 * _SMALL + _LARGE) != 0


def lengths(counts: int) -> Lengths:
    """The lengths of the fields of a video, from the packed counts of any of its words."""
    return Lengths(
        counts >> (2 * _SMALL + _LARGE) & _MAX_SMALL,
        counts >> (_SMALL + _LARGE) & _MAX_SMALL,
        counts >> _SMALL & _MAX_LARGE,
    )
