"""What of a video the word index holds, and how well a video matches: shared by its writer (video_catalog) and its readers.

A posting says in one row of `video_words` that a video holds a word, how often in which field, and how long its fields are. It is
a hint: the row of `videos` tells whether it still does. The weight is that of BM25F with typical lengths, so a word's postings
stand best first and a reader may stop early; the exact score is computed from the counts, when it is asked for, by what the lengths
then are on average.

BM25F: S. Robertson, H. Zaragoza, M. Taylor, "Simple BM25 extension to multiple weighted fields", CIKM 2004.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from common.time_slices import Pausing, at_once
from language.spelling import has_spelling
from language.text import STOP_WORDS, bigrams, is_unspaced, iter_folded, stem, words

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

MAX_DESCRIPTION_TERMS = 2_000
"""The first terms of a description that are indexed, each as often as it occurs, stop words apart: some 11,000 characters of English."""

MAX_TAG_WORDS = 400
"""The first different words of all tags together, in the order of their code points, that are indexed and suggested. Each tag as a whole is
listed and suggested besides, whatever this leaves out. Of scripts without spaces, pairs and single characters are what is counted."""

_WEIGHT_STEPS = 100
_WORDS_AT_ONCE = 256


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
        occurrences = _packed_occurrences(self.in_name, self.in_tags, self.in_description)
        return occurrences | _packed_lengths(self.name_length, self.tags_length, self.description_length)

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


def _packed_occurrences(in_name: int, in_tags: int, in_description: int) -> int:
    return min(in_name, _MAX_COUNT) << _IN_NAME | min(in_tags, _MAX_COUNT) << _IN_TAGS | min(in_description, _MAX_COUNT)


def _packed_lengths(name: int, tags: int, description: int) -> int:
    return (
        min(name, _MAX_COUNT) << _NAME_LENGTH
        | min(tags, _MAX_COUNT) << _TAGS_LENGTH
        | min(description, _MAX_DESCRIPTION_LENGTH) << _DESCRIPTION_LENGTH
    )


class Analysis(NamedTuple):
    """A video's text taken apart."""

    counts: Mapping[str, int]
    """By term of the index: its counts, packed."""
    shown_spellings: frozenset[str]
    """The words of name and tags as they are written (without case and accents), that typing mistakes may be corrected to."""
    other_spellings: frozenset[str]
    """Those of the description alone."""


class _Field(NamedTuple):
    occurrences: dict[str, int]
    length: int
    spellings: set[str]


def analyse(name: str, tags: Iterable[str], description: str) -> Analysis:
    """The words of a video with their counts, within the two limits above.

    Stop words count in names and tags only: no description is looked for by them.
    """
    return at_once(analyse_pausing(name, tags, description))


def analyse_pausing(name: str, tags: Iterable[str], description: str) -> Pausing[Analysis]:
    """The same with pauses, for where other calls wait."""
    in_name = yield from _field([iter_folded(name)], True)
    in_tags = yield from _field(map(iter_folded, sorted(tags)), True, MAX_TAG_WORDS)
    in_description = yield from _field([_first_terms(iter_folded(description))], False)
    terms = in_name.occurrences.keys() | in_tags.occurrences.keys() | in_description.occurrences.keys()
    lengths = _packed_lengths(in_name.length, in_tags.length, in_description.length)
    counts = {
        term: lengths
        | _packed_occurrences(
            in_name.occurrences.get(term, 0), in_tags.occurrences.get(term, 0), in_description.occurrences.get(term, 0)
        )
        for term in terms
    }
    yield
    shown = frozenset(in_name.spellings | in_tags.spellings)
    return Analysis(counts, shown, frozenset(in_description.spellings - shown))


def suggested_terms(name: str, tags: Iterable[str]) -> set[str]:
    """What may be suggested because of a video: each word of its name and tags, and each tag as a whole, lower-cased, no stop words."""
    tags = sorted(tags)
    of_tags = dict.fromkeys(word for tag in tags for word in words(tag) if word not in STOP_WORDS)
    found = {*words(name), *islice(of_tags, MAX_TAG_WORDS), *(tag.strip().lower() for tag in tags)}
    return found - STOP_WORDS - {""}


def _field(texts: Iterable[Iterable[str]], with_stop_words: bool, max_distinct: int | None = None) -> Pausing[_Field]:
    """The folded words of the texts of a field, up to the one with which it has `max_distinct` different terms."""
    times_of: Counter[str] = Counter()
    for text in texts:
        times_of.update(text)
        yield
    occurrences: dict[str, int] = {}
    length = 0
    spellings: set[str] = set()
    for number, (word, times) in enumerate(times_of.items()):
        if number % _WORDS_AT_ONCE == 0:
            yield
        analysed = _analysed_word(word)
        length += analysed.length * times
        if analysed.is_spelling:
            spellings.add(word)
        if analysed.length or with_stop_words:
            for term in analysed.terms:
                occurrences[term] = occurrences.get(term, 0) + times
        if max_distinct and len(occurrences) >= max_distinct:
            occurrences = dict(islice(occurrences.items(), max_distinct))
            break
    return _Field(occurrences, length, spellings)


def _first_terms(folded_words: Iterable[str]) -> Iterator[str]:
    """The words of a description until they have given all terms that count; a run without spaces is cut where it gives the last one."""
    left = MAX_DESCRIPTION_TERMS
    for word in folded_words:
        if word in STOP_WORDS:
            continue
        counted = word[: (left + 1) // 2] if is_unspaced(word) else word
        left -= 2 * len(counted) - 1 if is_unspaced(word) else 1  # a run's characters and pairs
        yield counted
        if left <= 0:
            return


class _Word(NamedTuple):
    terms: tuple[str, ...]
    length: int
    is_spelling: bool


def _analysed_word(word: str) -> _Word:
    """The terms of one folded word. Most words of a text have occurred before, so those of usual length are remembered."""
    if len(word) <= _MAX_CACHED_RUN or (len(word) <= _MAX_CACHED_CHARACTERS and not is_unspaced(word)):
        return _take_apart_once(word)
    return _take_apart(word)


def _take_apart(word: str) -> _Word:
    if word in STOP_WORDS:
        return _Word((stem(word),), 0, False)
    if is_unspaced(word):
        return _Word((*bigrams(word), *(word if len(word) > 1 else "")), max(1, len(word) - 1), False)
    return _Word((stem(word),), 1, has_spelling(word))


_MAX_CACHED_CHARACTERS, _MAX_CACHED_RUN = 40, 4
_take_apart_once = lru_cache(maxsize=20_000)(_take_apart)  # at most 20 MB, whatever the words


class Scorer:
    """Turns counts into how well a word matches a video, 0 to 1, for given average lengths."""

    def __init__(self, average: Lengths) -> None:
        self._name = NAME_LENGTH_NORM / max(average.name, 1.0)
        self._tags = TAGS_LENGTH_NORM / max(average.tags, 1.0)
        self._description = DESCRIPTION_LENGTH_NORM / max(average.description, 1.0)

    def score(self, packed: int) -> float:
        """BM25F's saturated frequency of a word with these counts."""
        # Counts.unpacked would read better and take half as long again; a query scores thousands of postings.
        frequency = 0.0
        if in_name := packed >> _IN_NAME:
            norm = 1 - NAME_LENGTH_NORM + self._name * (packed >> _NAME_LENGTH & _MAX_COUNT)
            frequency += NAME_WEIGHT * in_name / min(max(norm, MIN_NORM), MAX_NAME_NORM)
        if in_tags := packed >> _IN_TAGS & _MAX_COUNT:
            norm = 1 - TAGS_LENGTH_NORM + self._tags * (packed >> _TAGS_LENGTH & _MAX_COUNT)
            frequency += TAGS_WEIGHT * in_tags / min(max(norm, MIN_NORM), MAX_TAGS_NORM)
        if in_description := packed & _MAX_COUNT:
            length = packed >> _DESCRIPTION_LENGTH & _MAX_DESCRIPTION_LENGTH
            norm = 1 - DESCRIPTION_LENGTH_NORM + self._description * length
            frequency += DESCRIPTION_WEIGHT * in_description / max(norm, MIN_DESCRIPTION_NORM)
        return frequency / (SATURATION + frequency)


_typical = Scorer(TYPICAL)


def weight(packed: int) -> int:
    """The weight of a posting, 0 to 100, by which a word's postings are ordered."""
    return round(_typical.score(packed) * _WEIGHT_STEPS)


def in_name_or_tags(packed: int) -> bool:
    """Whether a word is in the name or a tag, and not only in the description."""
    return packed >> _IN_TAGS != 0  # the two highest counts


def lengths(packed: int) -> Lengths:
    """The lengths of the fields of a video, from the packed counts of any of its words."""
    counts = Counts.unpacked(packed)
    return Lengths(counts.name_length, counts.tags_length, counts.description_length)
