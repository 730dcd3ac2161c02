"""How well a word matches a video: what a posting says of it, and BM25F.

A posting's weight is that of BM25F with typical lengths, so a word's postings stand best first and a reader may stop early; the exact score is
computed from the counts, when it is asked for, by what the lengths then are on average.

BM25F: S. Robertson, H. Zaragoza, M. Taylor, "Simple BM25 extension to multiple weighted fields", CIKM 2004.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

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

_WEIGHT_STEPS = 100


class Lengths(NamedTuple):
    """How many words (stop words apart) the fields of a video have, or have on average."""

    name: float
    tags: float
    description: float


TYPICAL = Lengths(6.0, 15.0, 60.0)
"""Lengths by which postings are ordered, whatever the data: the order must not change while the data grow."""


class Counts(NamedTuple):
    """How often a word occurs in each field of a video, and how long the fields are, as a posting holds them: packed into one bigint.

    The column could be six columns or a tuple of its own; one number is read and compared the fastest.
    """

    in_name: int
    in_tags: int
    in_description: int
    name_length: int
    tags_length: int
    description_length: int

    def packed(self) -> int:
        """One number below 2^52: five times 8 bits, and 12 for the length of a description. What is larger is held at the maximum."""
        occurrences = packed_occurrences(self.in_name, self.in_tags, self.in_description)
        return occurrences | packed_lengths(self.name_length, self.tags_length, self.description_length)

    @classmethod
    def unpacked(cls, packed: int) -> "Counts":
        """The counts that `packed` made a number of."""
        return cls(
            packed >> _IN_NAME,
            packed >> _IN_TAGS & _MAX_COUNT,
            packed & _MAX_COUNT,
            packed >> _NAME_LENGTH & _MAX_COUNT,
            packed >> _TAGS_LENGTH & _MAX_COUNT,
            packed >> _DESCRIPTION_LENGTH & _MAX_DESCRIPTION_LENGTH,
        )


# The lowest bit of each count in the number.
_IN_NAME, _IN_TAGS, _NAME_LENGTH, _TAGS_LENGTH, _DESCRIPTION_LENGTH = 44, 36, 28, 20, 8
_MAX_COUNT, _MAX_DESCRIPTION_LENGTH = (1 << 8) - 1, (1 << 12) - 1
_ONCE_IN_TAGS, ONCE_IN_NAME = 1 << _IN_TAGS, 1 << _IN_NAME
"""The counts of a word that is in a tag, or in the name, are at least these."""


def packed_occurrences(in_name: int, in_tags: int, in_description: int) -> int:
    """How often a word is in each field, as a part of the packed counts."""
    return min(in_name, _MAX_COUNT) << _IN_NAME | min(in_tags, _MAX_COUNT) << _IN_TAGS | min(in_description, _MAX_COUNT)


def packed_lengths(name: int, tags: int, description: int) -> int:
    """How long the fields are, as a part of the packed counts."""
    return (
        min(name, _MAX_COUNT) << _NAME_LENGTH
        | min(tags, _MAX_COUNT) << _TAGS_LENGTH
        | min(description, _MAX_DESCRIPTION_LENGTH) << _DESCRIPTION_LENGTH
    )


class Scorer:
    """Turns counts into how well a word matches a video, 0 to 1, for given average lengths."""

    def __init__(self, average: Lengths) -> None:
        # What one occurrence counts in a field of each length: a query scores thousands of postings, and looking it up is several times as fast.
        self._in_name = [
            NAME_WEIGHT / min(max(norm, MIN_NORM), MAX_NAME_NORM)
            for norm in _norms(NAME_LENGTH_NORM, average.name, _MAX_COUNT)
        ]
        self._in_tags = [
            TAGS_WEIGHT / min(max(norm, MIN_NORM), MAX_TAGS_NORM)
            for norm in _norms(TAGS_LENGTH_NORM, average.tags, _MAX_COUNT)
        ]
        self._in_description = [
            DESCRIPTION_WEIGHT / max(norm, MIN_DESCRIPTION_NORM)
            for norm in _norms(DESCRIPTION_LENGTH_NORM, average.description, _MAX_DESCRIPTION_LENGTH)
        ]

    def score(self, packed: int) -> float:
        """BM25F's saturated frequency of a word with these counts."""
        # Counts.unpacked would read better and take several times as long.
        frequency = (packed & _MAX_COUNT) * self._in_description[
            packed >> _DESCRIPTION_LENGTH & _MAX_DESCRIPTION_LENGTH
        ]
        if packed >= _ONCE_IN_TAGS:
            frequency += (packed >> _IN_TAGS & _MAX_COUNT) * self._in_tags[packed >> _TAGS_LENGTH & _MAX_COUNT]
            frequency += (packed >> _IN_NAME) * self._in_name[packed >> _NAME_LENGTH & _MAX_COUNT]
        return frequency / (SATURATION + frequency)


def _norms(b: float, average: float, longest: int) -> Iterator[float]:
    """How much longer than the average a field of each length is, from empty to `longest`, as far as `b` lets that count."""
    return (1 - b + b * length / max(average, 1.0) for length in range(longest + 1))


@lru_cache(maxsize=16)
def scorer(average: Lengths) -> Scorer:
    """The scorer for average lengths. Those change every half minute, and between them there are many queries."""
    return Scorer(average)


_typical = Scorer(TYPICAL)


def weight(packed: int) -> int:
    """The weight of a posting, 0 to 100, by which a word's postings are ordered."""
    return round(_typical.score(packed) * _WEIGHT_STEPS)


def in_name_or_tags(packed: int) -> bool:
    """Whether a word is in the name or a tag, and not only in the description."""
    return packed >= _ONCE_IN_TAGS  # the two highest counts


def lengths(packed: int) -> Lengths:
    """The lengths of the fields of a video, from the packed counts of any of its words."""
    counts = Counts.unpacked(packed)
    return Lengths(counts.name_length, counts.tags_length, counts.description_length)
