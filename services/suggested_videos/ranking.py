"""The arithmetic of suggestions: pure functions that know neither a database nor a call. Formulas and sources: docs/suggestions.md.

Numbers here were tried on ratings of several hundred people, held-out likes against suggestions; none was fitted finely.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import chain, islice
from operator import mul
from typing import NamedTuple, Self
from uuid import UUID

from common.time_slices import checkpoint
from language.text import STOP_WORDS, iter_terms
from language.word_index import MAX_DESCRIPTION_TERMS, MAX_TAG_WORDS

LIKED = 4
"""The lowest rating that is a like."""

_VALUES = {1: -0.3, 2: -0.3, 3: 0.3, 4: 1.0, 5: 1.0}
"""What a rating says of taste. Low ones count against a video, but less: people watch what they expect to like."""

_RECENT_LIKES, _NEVER_DECAYS = 20, 0.3
"""After so many newer likes, a like counts half of what decays; this share never decays."""

_REGULARISATION = 150.0
_STEPS, _ENOUGH = 20, 1e-4

_DAMPING = 20.0
"""Likes that a video is taken to have beside its own, so that two or three in common are not much."""

_TAGS, _WORDS, _AUTHOR = 1.0, 0.3, 0.08
_OF_DESCRIPTION = 30
_USUAL_MEAN, _USUAL_VOTES = 3.0, 5.0
_PLAYS = 0.25
_SORTED_AT_ONCE = 2_000


class History(NamedTuple):
    """What a person rated, newest first: videos (their ids as numbers) and what each rating says."""

    videos: Sequence[int]
    values: Sequence[float]


def value_of(rating: int) -> float:
    """What a rating of 1 to 5 says of taste."""
    return _VALUES.get(rating, 0.0)


def taste(rated: Iterable[tuple[UUID, int]]) -> dict[UUID, float]:
    """How much each of a person's ratings, newest first, counts: recent likes more."""
    weights: dict[UUID, float] = {}
    newer = 0
    for video_id, rating in rated:
        weights[video_id] = value_of(rating) * (_NEVER_DECAYS + (1 - _NEVER_DECAYS) * 0.5 ** (newer / _RECENT_LIKES))
        newer += rating >= LIKED
    return weights


class Prediction(NamedTuple):
    """How much a person is expected to like videos, and their own likes that this comes from."""

    scores: dict[int, float]
    because: dict[int, list[tuple[int, float]]]


async def predicted(
    own: Mapping[int, float], others: Sequence[History], limit: int, known: Collection[int]
) -> Prediction:
    """The `limit` videos that a person with the taste `own` is expected to like best, from people who share some of it.

    Ridge regression in its dual form: with X the people's ratings (a row for each) and w the taste, scores = X' (X X' + r I)^-1 X w.
    People who are like each other share their weight instead of adding it up, which plain counting of neighbours does not do.
    """
    matrix = await _RatingMatrix.of(others)
    weights = await _solved(matrix, await matrix.times(matrix.row_of(own)))
    best = await highest(list(matrix.columns), await matrix.transposed_times(weights), limit, known)
    return Prediction(best, await _because(set(best), own, others, weights))


class _RatingMatrix:
    """What people rated as a sparse matrix: a row for each person, a column for each video."""

    def __init__(self) -> None:
        self.columns: dict[int, int] = {}
        self._rows: list[tuple[list[int], Sequence[float]]] = []

    @classmethod
    async def of(cls, people: Sequence[History]) -> Self:
        """The matrix of what people rated."""
        matrix = cls()
        columns = matrix.columns
        for person in people:
            await checkpoint()
            row = [columns.setdefault(video, len(columns)) for video in person.videos]
            matrix._rows.append((row, person.values))
        return matrix

    def row_of(self, weights: Mapping[int, float]) -> list[float]:
        """Weights by video as a row of the matrix; videos without a column are left out."""
        return [weights.get(video, 0.0) for video in self.columns]

    async def times(self, column_values: list[float]) -> list[float]:
        """X v: a value for each person."""
        result: list[float] = []
        for videos, values in self._rows:
            await checkpoint()
            result.append(sum(map(mul, map(column_values.__getitem__, videos), values)))
        return result

    async def transposed_times(self, row_values: list[float]) -> list[float]:
        """X' v: a value for each video."""
        result = [0.0] * len(self.columns)
        for (videos, values), weight in zip(self._rows, row_values, strict=True):
            await checkpoint()
            for video, value in zip(videos, values, strict=True):
                result[video] += weight * value
        return result


async def _solved(matrix: _RatingMatrix, right_side: list[float]) -> list[float]:
    """y of (X X' + r I) y = `right_side`, by conjugate gradients."""
    residual = right_side
    solution = [0.0] * len(residual)
    direction = residual[:]
    rest = first = sum(map(mul, residual, residual))
    for _ in range(_STEPS):
        if rest <= _ENOUGH * first:
            break
        image = await matrix.times(await matrix.transposed_times(direction))
        image = [value + _REGULARISATION * step for value, step in zip(image, direction, strict=True)]
        length = rest / sum(map(mul, direction, image))
        solution = [value + length * step for value, step in zip(solution, direction, strict=True)]
        residual = [value - length * step for value, step in zip(residual, image, strict=True)]
        before, rest = rest, sum(map(mul, residual, residual))
        direction = [value + rest / before * step for value, step in zip(residual, direction, strict=True)]
    return solution


async def _because(
    videos: set[int], own: Mapping[int, float], others: Sequence[History], weights: Sequence[float]
) -> dict[int, list[tuple[int, float]]]:
    """For each video the two likes of the person that led to it most: shared with those who like both, by their weights."""
    shares: dict[int, dict[int, float]] = {video: defaultdict(float) for video in videos}
    heard = sorted(range(len(others)), key=lambda index: -weights[index])[:30]
    for index in heard:
        await checkpoint()
        if weights[index] <= 0:
            break
        liked = [video for video, value in zip(others[index].videos, others[index].values, strict=True) if value >= 1]
        shared = [video for video in liked if own.get(video, 0.0) > 0]
        for video in liked:
            if video in videos:
                for mine in shared:
                    shares[video][mine] += weights[index] * own[mine]
    return {video: sorted(share.items(), key=lambda pair: (-pair[1], pair[0]))[:2] for video, share in shares.items()}


async def liked_together(video: int, likers: Sequence[History]) -> dict[int, float]:
    """How much each other video is liked by those who like `video`. A person who likes very many says a little less about each."""
    counts: dict[int, float] = defaultdict(float)
    for person in likers:
        await checkpoint()
        liked = [other for other, value in zip(person.videos, person.values, strict=True) if value >= 1]
        share = len(liked) ** -0.25 if liked else 0.0
        for other in liked:
            counts[other] += share
    counts.pop(video, None)
    return dict(counts)


def estimated_likes(count: int, total: int) -> float:
    """About how many of `count` ratings with the sum `total` are likes."""
    return count * min(1.0, max(0.1, (total / count - 2) / 2.2)) if count else 0.0


def closeness(together: float, liked_by: float) -> float:
    """Cosine of two videos up to a factor that is the same for all neighbours of one, damped where few like the neighbour."""
    return together / math.sqrt(liked_by + _DAMPING)


def popularity(count: int, total: int, views: int) -> float:
    """How popular a video is; 0 and less: not at all. Few votes are not a high mean: they are averaged with some usual ones."""
    mean = (total + _USUAL_MEAN * _USUAL_VOTES) / (count + _USUAL_VOTES)
    return (mean - _USUAL_MEAN) * math.log2(1 + count) + _PLAYS * math.log2(1 + views)


@dataclass(frozen=True)
class Content:
    """What a video is about, or what a person likes: tags, words of the name, authors, each with a weight."""

    tags: dict[str, float] = field(default_factory=dict)
    words: dict[str, float] = field(default_factory=dict)
    authors: dict[UUID, float] = field(default_factory=dict)
    spellings: set[str] = field(default_factory=set)
    """The tags as they are written; in `tags` they are in lower case."""

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
    """The content of one video. The words of its tags count half of those of its name, those of a description a quarter."""
    words: dict[str, float] = dict.fromkeys(islice(_telling([description or ""]), _OF_DESCRIPTION), 0.25)
    words |= dict.fromkeys(islice(_telling(sorted(tags or ())), MAX_TAG_WORDS), 0.5)
    words |= dict.fromkeys(_telling([name or ""]), 1.0)
    written = set(tags or ())
    return Content({tag.lower(): 1.0 for tag in written}, words, {user_id: 1.0} if user_id else {}, written)


def _telling(texts: Iterable[str]) -> Iterable[str]:
    """The words of texts that say what they are about, each once; of very long texts those at the beginning."""
    seen: set[str] = set()
    for word in islice(chain.from_iterable(map(iter_terms, texts)), MAX_DESCRIPTION_TERMS):
        if word not in seen and word not in STOP_WORDS and not word.isdigit():
            seen.add(word)
            yield word


class Likeness(NamedTuple):
    """How alike two contents are, and what they share."""

    score: float
    tags: list[str]
    words: list[str]
    author: bool


def likeness(one: Content, other: Content) -> Likeness:
    """Cosine of the tags, a little for words of the name, less for the author: 1.0 for the same tags alone."""
    author = sum(one.authors.get(user_id, 0.0) for user_id in other.authors)
    total = sum(map(abs, one.authors.values())) or 1.0
    score = _TAGS * _cosine(one.tags, other.tags) + _WORDS * _cosine(one.words, other.words) + _AUTHOR * author / total
    return Likeness(score, _shared(one.tags, other.tags), _shared(one.words, other.words), author > 0)


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    product = sum(weight * one.get(key, 0.0) for key, weight in other.items())
    if not product:
        return 0.0
    return product / math.sqrt(
        sum(value * value for value in one.values()) * sum(value * value for value in other.values())
    )


def _shared(one: Mapping[str, float], other: Mapping[str, float]) -> list[str]:
    return sorted((key for key in other if one.get(key, 0.0) > 0), key=lambda key: (-one[key], key))[:5]


def scaled(scores: Mapping[UUID, float]) -> dict[UUID, float]:
    """Scores with the best at 1."""
    best = max(scores.values(), default=0.0)
    return {key: score / best for key, score in scores.items()} if best > 0 else {}


def best_first(scores: Mapping[UUID, float]) -> list[UUID]:
    """Ids by falling score; equal ones by id, so that two calls give the same order."""
    return sorted(scores, key=lambda key: (-scores[key], key.int))


async def highest(
    keys: Sequence[int], scores: Sequence[float], limit: int, excluded: Collection[int] = ()
) -> dict[int, float]:
    """The `limit` keys of the highest positive scores with these, by falling score, equal ones by key."""
    best: list[tuple[float, int]] = []
    for start in range(0, len(keys), _SORTED_AT_ONCE):
        await checkpoint()
        end = start + _SORTED_AT_ONCE
        best += [
            (-score, key)
            for key, score in zip(keys[start:end], scores[start:end], strict=True)
            if score > 0 and key not in excluded
        ]
        best = nsmallest(limit, best)
    return {key: -negative for negative, key in best}
