"""How good a list of answers is, and means and percentiles."""

import math
from collections.abc import Sequence

LENGTH = 10
"""How many answers of a list count."""


def ndcg(found: Sequence[int], wanted: set[int]) -> float:
    """Normalised discounted cumulative gain of a list of ten: 1 if the wanted ones come first."""
    gain = sum(1 / math.log2(index + 2) for index, film in enumerate(found[:LENGTH]) if film in wanted)
    return gain / sum(1 / math.log2(index + 2) for index in range(min(LENGTH, len(wanted))))


def recall(found: Sequence[int], wanted: set[int]) -> float:
    """The share of the wanted (ten at most) that is found."""
    return len(wanted.intersection(found[:LENGTH])) / min(LENGTH, len(wanted))


def mean(values: Sequence[float]) -> float:
    """The mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
