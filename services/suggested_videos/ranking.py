"""The arithmetic of suggestions: pure functions that know neither a database nor a call. Formulas and sources: docs/suggestions.md.

Numbers here were tried on ratings of several hundred people, held-out likes against suggestions; none was fitted finely.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import nsmallest
from operator import mul
from typing import NamedTuple, Self
from uuid import UUID

from common.time_slices import checkpoint

LIKED = 4
"""The lowest rating that is a like."""

_VALUES = {1: -0.3, 2: -0.3, 3: 0.3, 4: 0.8, 5: 1.2}
"""What a rating says of taste. Low ones count against a video, but less: people watch what they expect to like."""

_RECENT_LIKES, _NEVER_DECAYS = 8, 0.25
"""After so many newer likes, a like counts half of what decays; this share never decays."""

_LIKE_VALUE = 0.8
"""From this value on, a rating is a like."""

_REGULARISATION = 200.0
_STEPS, _ENOUGH = 20, 1e-4
"""Steps of the solver at most, and the share of the (squared) residual at which it stops: below that the order of the list hardly changes."""

_DAMPING = 20.0
"""Likes that a video is taken to have beside its own, so that two or three in common are not much."""

_LIKED_POWER = 0.55
"""How much videos that many like are held back: 0.5 is the cosine, which shows less of what few know."""

_USUAL_MEAN, _USUAL_VOTES = 3.0, 5.0
_PLAYS = 0.25
_SORTED_AT_ONCE = 2_000


_FAR = 300
_BESIDE = [1.0 + math.exp(-distance / 30.0) for distance in range(_FAR + 1)]
"""What a video counts for another one by how many places apart the same person rated them, ratings below 3 left out: twice beside it, once far away."""


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

    def squares(self) -> list[float]:
        """The diagonal of X X' + r I."""
        return [_REGULARISATION + sum(map(mul, values, values)) for _, values in self._rows]

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
    """y of (X X' + r I) y = `right_side`, by conjugate gradients, preconditioned by the diagonal: some people rated ten times as much as others."""
    diagonal = matrix.squares()
    residual = right_side
    solution = [0.0] * len(residual)
    direction = scaled_residual = [value / size for value, size in zip(residual, diagonal, strict=True)]
    rest = first = sum(map(mul, residual, scaled_residual))
    for _ in range(_STEPS):
        if rest <= _ENOUGH * first:
            break
        image = await matrix.times(await matrix.transposed_times(direction))
        image = [value + _REGULARISATION * step for value, step in zip(image, direction, strict=True)]
        length = rest / sum(map(mul, direction, image))
        solution = [value + length * step for value, step in zip(solution, direction, strict=True)]
        residual = [value - length * step for value, step in zip(residual, image, strict=True)]
        scaled_residual = [value / size for value, size in zip(residual, diagonal, strict=True)]
        before, rest = rest, sum(map(mul, residual, scaled_residual))
        direction = [value + rest / before * step for value, step in zip(scaled_residual, direction, strict=True)]
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
        liked = [
            video
            for video, value in zip(others[index].videos, others[index].values, strict=True)
            if value >= _LIKE_VALUE
        ]
        shared = [video for video in liked if own.get(video, 0.0) > 0]
        for video in liked:
            if video in videos:
                for mine in shared:
                    shares[video][mine] += weights[index] * own[mine]
    return {video: sorted(share.items(), key=lambda pair: (-pair[1], pair[0]))[:2] for video, share in shares.items()}


async def liked_together(video: int, likers: Sequence[History]) -> dict[int, float]:
    """How much each other video is liked by those who like `video`: a like counts 1, a rating in the middle a third.

    What somebody rated just before or after counts twice: videos of one sitting are more alike.
    """
    counts: dict[int, float] = defaultdict(float)
    for person in likers:
        await checkpoint()
        positive = [
            (other, 1.0 if value >= _LIKE_VALUE else value)
            for other, value in zip(person.videos, person.values, strict=True)
            if value > 0
        ]
        place = next((place for place, (other, _) in enumerate(positive) if other == video), None)
        for other_place, (other, value) in enumerate(positive):
            beside = _BESIDE[min(abs(other_place - place), _FAR)] if place is not None else 1.0
            counts[other] += value * beside
    counts.pop(video, None)
    return dict(counts)


def estimated_likes(count: int, total: int) -> float:
    """About how many of `count` ratings with the sum `total` are likes."""
    return count * min(1.0, max(0.1, (total / count - 2) / 2.2)) if count else 0.0


def closeness(together: float, liked_by: float) -> float:
    """Nearly the cosine of two videos, up to a factor that is the same for all neighbours of one: damped where few like the neighbour, and with
    a little less for those that everybody likes.
    """
    return float(together / (liked_by + _DAMPING) ** _LIKED_POWER)


def popularity(count: int, total: int, views: int) -> float:
    """How popular a video is; 0 and less: not at all. Few votes are not a high mean: they are averaged with some usual ones."""
    mean = (total + _USUAL_MEAN * _USUAL_VOTES) / (count + _USUAL_VOTES)
    return (mean - _USUAL_MEAN) * math.log2(1 + count) + _PLAYS * math.log2(1 + views)


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
