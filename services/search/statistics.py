"""What ranking needs to know of all the videos: how many there are, how long their texts are, how common a word is. By a sample of them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from common.caches import CacheSize, watch
from common.ring_sample import RingSample, number_of_videos
from common.time_slices import in_slices
from language.scoring import TYPICAL, Lengths, lengths
from language.word_index import analyse_pausing
from services.search.repository import SampleRow, SearchRepository

# Only of a word that is in hundreds of videos the count is asked for, and longer ones are not.
_MAX_WORDS_COUNTED, _MAX_CHARACTERS_COUNTED = 50_000, 40
_WORD_BYTES = 340


class Statistics(NamedTuple):
    """How many videos there are, how long their fields are on average, and in how many of `sampled` each word was."""

    videos: float
    average: Lengths
    sampled: int
    with_word: Counter[str]

    def videos_with(self, term: str, read: int, limit: int) -> float:
        """How many videos hold a word of which `read` postings were read, no more than `limit`."""
        if read < limit:
            return read
        # More may follow: at least as many as were read, or as many as the sample says.
        return max(read, self.videos * self.with_word[term] / max(self.sampled, 1))


def statistics_sample(repository: SearchRepository) -> RingSample[SampleRow, Statistics]:
    """What keeps the statistics of the videos."""
    sample = RingSample(repository.sample, estimated, Statistics(1, TYPICAL, 0, Counter()))
    watch(
        "word_counts",
        sample,
        lambda sample: CacheSize.estimated(len(sample.kept.with_word) if sample.kept else 0, _WORD_BYTES),
    )
    return sample


async def estimated(rows: Sequence[SampleRow]) -> Statistics:
    """The statistics that a sample gives. Lets other work go on in between."""
    total = [0.0, 0.0, 0.0]
    with_word: Counter[str] = Counter()
    sampled = 0
    for row in rows:
        counts = (await in_slices(analyse_pausing(row.name or "", row.tags or (), row.description or ""))).counts
        if counts:
            sampled += 1
            with_word.update(word for word in counts if len(word) <= _MAX_CHARACTERS_COUNTED)
            if len(with_word) > _MAX_WORDS_COUNTED:
                # Only the common words matter: the others are forgotten now and then ("lossy counting", G. Manku, R. Motwani, VLDB 2002).
                with_word = Counter({word: count for word, count in with_word.items() if count > 1})
            for field, length in enumerate(lengths(next(iter(counts.values())))):
                total[field] += length
    # Rounded, because a token carries them.
    average = Lengths(*(round(length / sampled, 2) for length in total)) if sampled else TYPICAL
    return Statistics(number_of_videos(rows), average, sampled, with_word)
