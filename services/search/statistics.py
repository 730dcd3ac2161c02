"""What ranking needs to know of all the videos: how many there are, how long their texts are, how common a word is.

Nothing is counted with each write: a sample is read, so whatever happens to the table is known after a minute. Rows of `videos` lie on
the ring in the order of a hash of their ids, so the first few hundred are any few hundred, and how closely they lie tells how many
there are (the k-minimum-values estimate of distinct elements: Z. Bar-Yossef et al., "Counting distinct elements in a data stream",
RANDOM 2002).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from common.database import DatabaseError
from common.time_slices import in_slices
from grpc_discovery import ServiceError, start_shielded
from language.scoring import TYPICAL, Lengths, lengths
from language.word_index import analyse_pausing
from services.search.repository import SampleRow, SearchRepository

SAMPLE_ROWS = 256
FRESH_SECONDS = 30.0

_RING_START = -(1 << 63)
_RING_SIZE = 1 << 64
# Only of a word that is in hundreds of videos the count is asked for, and longer ones are not.
_MAX_WORDS_COUNTED, _MAX_CHARACTERS_COUNTED = 50_000, 40


_log = logging.getLogger(__name__)


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


class Sampler:
    """Keeps statistics. A caller that finds them stale starts a new sample in the background, and waits only while there are none yet."""

    def __init__(self, repository: SearchRepository) -> None:
        self._repository = repository
        self._statistics: Statistics | None = None
        self._made_at = 0.0
        self._making: asyncio.Task[None] | None = None

    async def statistics(self) -> Statistics:
        """The statistics of the last half minute, or at least some."""
        if self._statistics is None or monotonic() - self._made_at > FRESH_SECONDS:
            if self._making is None or self._making.done():
                # Others wait for it, too: it must not end with this caller, nor at its deadline.
                self._making = start_shielded(self._make())
            if self._statistics is None:
                await asyncio.shield(self._making)
        return self._statistics or Statistics(1, TYPICAL, 0, Counter())

    async def _make(self) -> None:
        try:
            rows = await self._repository.sample(SAMPLE_ROWS)
        except (ServiceError, DatabaseError) as error:
            _log.warning("the statistics were not refreshed: %s", error)
            return  # the searches that follow find it back, or say what is wrong
        self._statistics = await estimated(rows)
        self._made_at = monotonic()


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
    return Statistics(_number_of(rows), average, sampled, with_word)


def _number_of(rows: Sequence[SampleRow]) -> float:
    if len(rows) < SAMPLE_ROWS:
        return len(rows)
    return (len(rows) - 1) * _RING_SIZE / max(rows[-1].token - _RING_START, 1)
