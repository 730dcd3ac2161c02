"""Words of the first results that a question is asked with as well: pseudo-relevance feedback.

What is about the same thing uses the same words. So of a question, which has several words, the words that its first results share are looked up
too. They add to the score of a video that has some word of the question, and find none by themselves.

The weights follow the relevance model (V. Lavrenko, B. Croft, "Relevance-based language models", SIGIR 2001): how often a word is in each of the
first results, by their scores; times how much the word says.
"""

from collections.abc import Collection, Mapping, Sequence
from heapq import nsmallest

from common.time_slices import in_slices
from language.scoring import Counts
from language.word_index import Analysis, analyse_pausing
from services.search.plan import MAX_FEEDBACK_TERMS
from services.search.repository import VideoRow
from services.search.weights import Weights

MIN_WORDS = 4
"""A query of so many words is a question. Of a shorter one nobody knows what it is about before the first results are seen."""

FIRST_RESULTS = 10
ROWS = 100
"""Postings that are read of each term of feedback."""

SHARE = 0.3
"""What all of these terms together may add to a score, against what the words of the question may."""

MIN_RESULTS_WITH_TERM = 2
MAX_TERM_CHARACTERS = 40


async def shared_terms(
    first: Sequence[tuple[VideoRow, float]], asked: Collection[str], weights: Weights
) -> list[tuple[str, float]]:
    """The terms that say most of what the first results (each with its score) are about, without those asked for; with how much
    each says: its share of these results times its rarity.
    """
    shares: dict[str, float] = {}
    results_with: dict[str, int] = {}
    total = sum(score for _, score in first) or 1.0
    for row, score in first:
        found = await in_slices(analyse_pausing(row.name or "", row.tags or (), row.description or ""))
        occurrences = _occurrences(found)
        length = sum(occurrences.values())
        for term, times in occurrences.items():
            shares[term] = shares.get(term, 0.0) + score / total * times / length
            results_with[term] = results_with.get(term, 0) + 1
    said = {
        term: share * weights.rarity(weights.in_sample(term))
        for term, share in shares.items()
        if results_with[term] >= MIN_RESULTS_WITH_TERM and term not in asked and len(term) <= MAX_TERM_CHARACTERS
    }
    return [(term, said[term]) for term in nsmallest(MAX_FEEDBACK_TERMS, said, key=lambda term: (-said[term], term))]


def weighted(shared: Sequence[tuple[str, float]], weights: Weights, of_question: int) -> tuple[tuple[str, int], ...]:
    """The terms with their weights in millionths, where the words of the question weigh `of_question` together."""
    said = {term: share * weights.rarity(weights.frequency((term,))) for term, share in shared}
    total = sum(said.values()) or 1.0
    return tuple((term, round(SHARE * of_question * each / total)) for term, each in said.items())


def _occurrences(found: Analysis) -> Mapping[str, int]:
    counts = {term: Counts.unpacked(packed) for term, packed in found.counts.items()}
    return {term: each.in_name + each.in_tags + each.in_description for term, each in counts.items()}
