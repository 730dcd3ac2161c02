"""The simple methods that suggestions are compared with: what people who like a film like too, and films of the same genres."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import nsmallest

from benchmarks.quality.measures import LENGTH
from benchmarks.quality.ratings_data import LIKED, Trial

NEIGHBOURS = 50
"""How many films that are most alike add to a score."""


class Cosine:
    """Films by who likes both."""

    def __init__(self, trial: Trial) -> None:
        self.likings = trial.likings
        self._together: dict[int, Counter[int]] = defaultdict(Counter)
        for rated in trial.known.values():
            liked = [film for film, rating in rated if rating >= LIKED]
            for film in liked:
                self._together[film].update(liked)

    def neighbours(self, film: int, most: int) -> list[tuple[float, int]]:
        """The films most alike, with their cosine."""
        alike = [
            (count / math.sqrt(self.likings[film] * self.likings[other]), other)
            for other, count in self._together[film].items()
            if other != film
        ]
        return sorted(alike, key=lambda pair: (-pair[0], pair[1]))[:most]

    def suggested(self, rated: Sequence[tuple[int, int]]) -> list[int]:
        """Item-kNN: the neighbours of what a person likes, added up."""
        scores: dict[int, float] = defaultdict(float)
        for film, rating in rated:
            if rating >= LIKED:
                for score, other in self.neighbours(film, NEIGHBOURS):
                    scores[other] += score
        seen = {film for film, _ in rated}
        return [film for film in sorted(scores, key=lambda each: (-scores[each], each)) if film not in seen][:LENGTH]


def by_genres(trial: Trial, film: int) -> list[int]:
    """The films with the most alike genres."""
    wanted = trial.films[film].genres
    scores = {other: overlap(wanted, each.genres) for other, each in trial.films.items() if other != film}
    return nsmallest(LENGTH, scores, key=lambda other: (-scores[other], other))


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """What two sets have in common, of what both have together."""
    return len(one & other) / len(one | other) if one or other else 0.0
