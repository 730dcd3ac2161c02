"""The simple methods that suggestions are compared with: what people who like a film like too, and films of the same genres."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import nsmallest

from benchmarks.quality.measures import LENGTH
from benchmarks.quality.ratings_data import LIKED, HeldOutRatings

NEIGHBOURS = 50
"""How many films that are most alike add to a score."""


class Cosine:
    """Films are alike when the same people like both."""

    def __init__(self, ratings: HeldOutRatings) -> None:
        self.like_counts = ratings.like_counts
        self._together: dict[int, Counter[int]] = defaultdict(Counter)
        for rated in ratings.known.values():
            liked = [film for film, rating in rated if rating >= LIKED]
            for film in liked:
                self._together[film].update(liked)

    def neighbours(self, film: int, limit: int) -> list[tuple[float, int]]:
        """The `limit` films that are most alike, each with its cosine, best first."""
        alike = [
            (count / math.sqrt(self.like_counts[film] * self.like_counts[other]), other)
            for other, count in self._together[film].items()
            if other != film
        ]
        return sorted(alike, key=lambda pair: (-pair[0], pair[1]))[:limit]

    def suggested(self, rated: Sequence[tuple[int, int]]) -> list[int]:
        """Item-kNN: the neighbours of what a person likes, added up."""
        scores: dict[int, float] = defaultdict(float)
        for film, rating in rated:
            if rating >= LIKED:
                for score, other in self.neighbours(film, NEIGHBOURS):
                    scores[other] += score
        seen = {film for film, _ in rated}
        return [film for film in sorted(scores, key=lambda film: (-scores[film], film)) if film not in seen][:LENGTH]


def by_genres(ratings: HeldOutRatings, film: int) -> list[int]:
    """The films with the most alike genres."""
    wanted = ratings.films[film].genres
    scores = {other: overlap(wanted, candidate.genres) for other, candidate in ratings.films.items() if other != film}
    return nsmallest(LENGTH, scores, key=lambda other: (-scores[other], other))


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of what two sets have in common (Jaccard), 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 0.0
