"""What videos are about, and how alike two of them are: tags, words, authors, and series of numbered titles. Formulas: docs/suggestions.md."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import NamedTuple
from uuid import UUID

from language.text import STOP_WORDS, folded, iter_terms
from language.word_index import MAX_DESCRIPTION_TERMS, MAX_TAG_WORDS

TAG_WEIGHT, WORD_WEIGHT = 0.5, 1.5
"""How much the likeness of tags and of words counts, where what ratings say counts 1 at most. Tried on the genres of films and on related talks:
docs/suggestions.md."""

_AUTHOR, _SERIES = 0.025, 1.0
_OF_DESCRIPTION = 30
_IN_NAME = 0.5
_AGREEMENT = (0.1, 0.1, 0.7, 1.0)
"""How far words are believed of which none, one, two, or more are in both names."""

_MAX_TITLE_WORDS = 60
_COUNTED = frozenset(
    "chapter class day ep episode lecture lesson module no number part round season session step unit vol volume week".split()
)
_NUMERALS = {
    name: number
    for names in (
        "i ii iii iv v vi vii viii ix x xi xii",
        "one two three four five six seven eight nine ten eleven twelve",
    )
    for number, name in enumerate(names.split(), 1)
}

Rarity = Callable[[str], float]
"""How much a tag or a word says, 0 to 1: the more, the fewer videos have it."""


class Series(NamedTuple):
    """Of which series a video may be: what the titles of the series have in common, and the number in this one."""

    titles: frozenset[str]
    counted: str
    number: int


@dataclass(frozen=True)
class Content:
    """What a video is about, or what a person likes: tags, words of the name, authors, each with a weight."""

    tags: dict[str, float] = field(default_factory=dict)
    words: dict[str, float] = field(default_factory=dict)
    authors: dict[UUID, float] = field(default_factory=dict)
    spellings: set[str] = field(default_factory=set)
    """The tags as they are written; in `tags` they are in lower case."""
    series: Series | None = None

    def add(self, other: "Content", weight: float) -> None:
        """Add a video's content to a person's."""
        for mine, theirs in ((self.tags, other.tags), (self.words, other.words)):
            for key, value in theirs.items():
                mine[key] = mine.get(key, 0.0) + weight * value
        for author, value in other.authors.items():
            self.authors[author] = self.authors.get(author, 0.0) + weight * value
        self.spellings.update(other.spellings)


def content_of(
    user_id: UUID | None, name: str | None, tags: Collection[str] | None, description: str | None = None
) -> Content:
    """The content of one video. The words of its tags count a quarter of those of its name, those of a description a tenth."""
    words: dict[str, float] = dict.fromkeys(islice(_telling([description or ""]), _OF_DESCRIPTION), 0.1)
    words |= dict.fromkeys(islice(_telling(sorted(tags or ())), MAX_TAG_WORDS), 0.25)
    words |= dict.fromkeys(_telling([name or ""]), 1.0)
    written = set(tags or ())
    authors = {user_id: 1.0} if user_id else {}
    return Content({tag.lower(): 1.0 for tag in written}, words, authors, written, series_of(name or ""))


def _telling(texts: Iterable[str]) -> Iterable[str]:
    """The words of texts that say what they are about, each once; of very long texts those at the beginning."""
    seen: set[str] = set()
    for word in islice(chain.from_iterable(map(iter_terms, texts)), MAX_DESCRIPTION_TERMS):
        if word not in seen and word not in STOP_WORDS and not word.isdigit():
            seen.add(word)
            yield word


def series_of(name: str) -> Series | None:
    """The series that a title with a number in it may belong to, None for a title without one.

    `Java course, week 3: Tables` may be of the titles that begin with `java course week` and a number, of those that are the same without their
    numbers, and, less likely, of any weeks.
    """
    words = [part for word in folded(name)[:_MAX_TITLE_WORDS] for part in _apart(word)]
    counted = next(
        (
            (place, number)
            for place, (word, after) in enumerate(pairwise(words))
            if word in _COUNTED and (number := _number_in(after)) is not None
        ),
        None,
    )
    digits = [int(word) for word in words if _is_number(word)]
    if counted is None and not digits:
        return None  # `i` and `one` are numbers only after such a word
    rest = [word for word in words if _number_in(word) is None]
    titles = {" ".join(rest)} if rest else set()
    if counted is None:
        return Series(frozenset(titles), "", digits[-1])
    place, number = counted
    beginning = " ".join(words[: place + 1])
    return Series(frozenset({*titles, f"{beginning} #"}), words[place], number)


def _apart(word: str) -> tuple[str, ...]:
    """`week3` as `week` and `3`."""
    letters = word.rstrip("0123456789")
    return (letters, word[len(letters) :]) if letters in _COUNTED and letters != word else (word,)


def _is_number(word: str) -> bool:
    return len(word) <= 4 and word.isascii() and word.isdigit()


def _number_in(word: str) -> int | None:
    return int(word) if _is_number(word) else _NUMERALS.get(word)


def title_of(name: str | None) -> tuple[str, ...]:
    """A title without case, accents and punctuation: videos of one author with the same one are taken for the same talk."""
    return tuple(folded(name or ""))


class Shared(NamedTuple):
    """What two contents have in common, the rarest first."""

    tags: list[str]
    words: list[str]
    author: bool
    series: bool


class Comparison:
    """Compares one content, of a video or a taste, with those of many videos."""

    def __init__(self, about: Content, tag_rarity: Rarity, word_rarity: Rarity) -> None:
        self._about = about
        self._tags, self._words = _Weighted(about.tags, tag_rarity), _Weighted(about.words, word_rarity)
        self._named = {word for word, weight in about.words.items() if weight >= _IN_NAME}
        self._authors = sum(map(abs, about.authors.values())) or 1.0

    def score(self, other: Content) -> float:
        """Cosine of the tags and of the words, a little for the author, much for a series: 1.0 for the same tags alone."""
        author = sum(self._about.authors.get(user_id, 0.0) for user_id in other.authors)
        return (
            TAG_WEIGHT * self._tags.cosine(other.tags)
            + WORD_WEIGHT * self._words.cosine(other.words) * self._agreement(other)
            + _AUTHOR * author / self._authors
            + _SERIES * self._series(other)
        )

    def shared(self, other: Content) -> Shared:
        """What the two have in common."""
        author = any(self._about.authors.get(user_id, 0.0) > 0 for user_id in other.authors)
        return Shared(self._tags.shared(other.tags), self._words.shared(other.words), author, self._series(other) > 0)

    def _agreement(self, other: Content) -> float:
        """How far words in common are believed: one alone may be chance, two or three are a subject."""
        shared = sum(1 for word, weight in other.words.items() if weight >= _IN_NAME and word in self._named)
        return _AGREEMENT[min(shared, len(_AGREEMENT) - 1)]

    def _series(self, other: Content) -> float:
        """1 for a neighbour in a series of the same author, down to a half for those far from it; a quarter of that if only a `week` is the same."""
        mine, theirs = self._about.series, other.series
        if mine is None or theirs is None or mine.number == theirs.number:
            return 0.0
        if self._about.authors.keys().isdisjoint(other.authors):
            return 0.0
        nearness = (1 + 1 / abs(mine.number - theirs.number)) / 2
        if not mine.titles.isdisjoint(theirs.titles):
            return nearness
        return nearness / 4 if mine.counted and mine.counted == theirs.counted else 0.0


class _Weighted:
    """A vector whose coordinates count by their rarity."""

    def __init__(self, weights: Mapping[str, float], rarity: Rarity) -> None:
        self._rarity: dict[str, float] = {}
        self._unknown = rarity
        self._weights = {key: weight * self._rarity_of(key) for key, weight in weights.items()}
        self._length = math.sqrt(sum(weight * weight for weight in self._weights.values()))

    def _rarity_of(self, key: str) -> float:
        rarity = self._rarity.get(key)
        if rarity is None:
            rarity = self._rarity[key] = self._unknown(key)
        return rarity

    def cosine(self, other: Mapping[str, float]) -> float:
        product = sum(
            weight * self._rarity_of(key) * mine
            for key, weight in other.items()
            if (mine := self._weights.get(key)) is not None
        )
        if not product:
            return 0.0
        return product / (self._length * math.sqrt(sum((w * self._rarity_of(key)) ** 2 for key, w in other.items())))

    def shared(self, other: Mapping[str, float]) -> list[str]:
        weights = self._weights
        return sorted((key for key in other if weights.get(key, 0.0) > 0), key=lambda key: (-weights[key], key))[:5]
