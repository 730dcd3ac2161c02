"""What each alternative of a word counts, by how many videos have it. docs/search-and-suggestions.md has the formulas."""

from collections.abc import Mapping, Sequence
from math import log

from common.database import IdText
from language.compounds import joined
from language.text import stem
from services.search.guesses import Terms
from services.search.plan import BELOW, MAX_ALTERNATIVES, MILLION, STANDS_FOR_IT, Alternative, Group
from services.search.query_text import QueryWord, SignWord
from services.search.repository import Posting
from services.search.statistics import Statistics

FAR_MORE = 10
"""How many times as many videos must have what is meant instead of a word that some video has; and at least so many videos."""

LESS_FREQUENT = 0.9
"""Of the words that may have been meant, each counts so much less than the more frequent one before it."""

JOINED, SPLIT, PART_OF_SIGN, GUESSED_BELOW = 1.1, 0.8, 0.2, 0.5
"""What neighbours count that are written as one word (a little more: they stand together); a word written as two; a plain word in one with signs;
and what may have been meant by a word that some video has. All against the word itself."""

PostingLists = Mapping[str, Sequence[Posting]]
"""The postings of each term, best first."""


class Weights:
    """What each alternative of a word counts, by how many videos have it."""

    def __init__(self, postings: PostingLists, statistics: Statistics, rows: int) -> None:
        self._postings, self._statistics, self._rows = postings, statistics, rows

    def group(self, word: QueryWord, neighbours: Mapping[str, tuple[str, ...]], meant: Sequence[Terms]) -> Group:
        """What stands for a word of the query: the word itself, it and its neighbour written as one, and what may have been meant by it."""
        own = self.frequency((word.term,))
        alternatives = [self._alternative((word.term,), word.times * self.rarity(own), STANDS_FOR_IT)] if own else []
        likely = self._likely(own, meant)
        rarity = self.rarity(own or (likely[0][0] if likely else 0.0))
        for joined_term, of_words in neighbours.items():
            together = self.frequency((joined_term,))
            if word.term in of_words and together:
                weight = rarity * JOINED if own or likely else self.rarity(together) / 2
                alternatives.append(self._alternative((joined_term,), word.times * weight, STANDS_FOR_IT))
        for rank, (frequency, guess) in enumerate(likely):
            share = (SPLIT if len(guess) > 1 else 1.0) * (GUESSED_BELOW if own else 1.0) * LESS_FREQUENT**rank
            standing = BELOW if own else STANDS_FOR_IT
            weight = min(self.rarity(frequency), rarity) * share
            alternatives.append(self._alternative(guess, word.times * weight, standing))
        return tuple(alternatives[:MAX_ALTERNATIVES]) or (Alternative((word.term,), 0, STANDS_FOR_IT),)

    def group_of_signs(self, sign: SignWord) -> Group:
        """What stands for a word with signs: itself, its parts written as one, and below these its parts. In quotes only itself."""
        own, parts = self.frequency((sign.term,)), tuple(dict.fromkeys(map(stem, sign.parts)))
        alternatives = [self._alternative((sign.term,), self.rarity(own) if own else 0.0, STANDS_FOR_IT)]
        if sign.quoted:
            return tuple(alternatives)
        for term in joined(sign.parts) if len(sign.parts) == len(parts) == 2 else ():
            if together := self.frequency((term,)):
                weight = self.rarity(own or together) * LESS_FREQUENT
                alternatives.append(self._alternative((term,), weight, STANDS_FOR_IT))
        with_parts = self.frequency(parts) if parts else 0.0
        if with_parts and (len(parts) > 1 or not own):
            share = SPLIT if len(parts) > 1 else PART_OF_SIGN
            alternatives.append(self._alternative(parts, self.rarity(with_parts) * share, BELOW))
        return tuple(alternatives)

    def in_sample(self, term: str) -> float:
        """How many videos have a term, by the sample alone: for one whose postings were not read."""
        return self._statistics.videos * self._statistics.with_word[term] / max(self._statistics.sampled, 1)

    def _likely(self, own: float, meant: Sequence[Terms]) -> list[tuple[float, Terms]]:
        """Guesses that some video has, the more frequent first; only those that far more videos have, if some have the word itself."""
        found = [(self.frequency(guess), guess) for guess in meant]
        return sorted(
            (
                (frequency, guess)
                for frequency, guess in found
                if frequency and (not own or len(guess) > 1 or frequency >= FAR_MORE * own)
            ),
            key=lambda each: (len(each[1]), -each[0], each[1]),
        )

    def frequency(self, of_terms: Sequence[str]) -> float:
        """How many videos hold all of the terms, as far as was read."""
        if len(of_terms) == 1:
            found = self._postings.get(of_terms[0], ())
            return self._statistics.videos_with(of_terms[0], len(found), self._rows) if found else 0.0
        return float(len(set.intersection(*(video_ids(self._postings.get(term, ())) for term in of_terms))))

    def rarity(self, videos_with: float) -> float:
        """How much a word says: BM25's inverse document frequency, in the form that is never negative (as in Lucene)."""
        return log(1 + (max(self._statistics.videos, videos_with) - videos_with + 0.5) / (videos_with + 0.5))

    @staticmethod
    def _alternative(of_terms: tuple[str, ...], weight: float, standing: int) -> Alternative:
        return Alternative(of_terms, round(weight * MILLION), standing)


def video_ids(postings: Sequence[Posting]) -> set[IdText]:
    """The videos of some postings."""
    return {posting.video_id for posting in postings}
