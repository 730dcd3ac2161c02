"""How rare tags and words are, from a sample of the videos: one that few videos have says more about those that have it.

Nothing is counted with each write: a sample is read, so whatever happens to the table is known half a minute later.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic

from common.database import DatabaseError
from common.time_slices import checkpoint
from grpc_discovery import ServiceError, start_shielded
from services.suggested_videos.content import content_of
from services.suggested_videos.repository import RING_START, SuggestedVideosRepository
from services.suggested_videos.rows import RingRow

SAMPLE_ROWS = 256
"""The first videos in the order of their tokens, which are hashes: any few hundred. Of a smaller table all."""

_FRESH_SECONDS = 30.0
_RING_SIZE = 1 << 64
_MAX_KEYS, _MAX_CHARACTERS = 20_000, 40
"""Tags and words that are counted, of each no more than this, and none that is longer."""

_log = logging.getLogger(__name__)


class Rarities:
    """How rare tags and words are: of how many videos there are, in how many of `sampled` each was."""

    def __init__(self, videos: float, sampled: int, with_tag: Mapping[str, int], with_word: Mapping[str, int]) -> None:
        self.videos, self.sampled = videos, sampled
        self._with_tag, self._with_word = with_tag, with_word
        # Worked out once, because every list asks for hundreds.
        self._tags = {tag: self.rarity(self._expected(count)) for tag, count in with_tag.items()}
        self._words = {word: self.rarity(self._expected(count)) for word, count in with_word.items()}
        self._unknown = self.rarity(self._expected(0))

    def of_tag(self, tag: str) -> float:
        """How much a tag says, 0 to 1, by the sample."""
        return self._tags.get(tag, self._unknown)

    def of_word(self, word: str) -> float:
        """How much a word says, 0 to 1, by the sample."""
        return self._words.get(word, self._unknown)

    def of_read_tag(self, tag: str, read: int, limit: int) -> float:
        """How much a tag says of which `read` videos were read, no more than `limit`: if they are all that have it, by their number."""
        return self.rarity(read if read < limit else max(read, self._expected(self._with_tag.get(tag, 0))))

    def of_read_word(self, word: str, read: int, limit: int) -> float:
        """The same of a word."""
        return self.rarity(read if read < limit else max(read, self._expected(self._with_word.get(word, 0))))

    def rarity(self, having: float) -> float:
        """ln(1 + N / n), as in idf, on a scale on which a tag of one video has 1."""
        videos = max(self.videos, having, 1.0)
        return math.log(1 + videos / max(having, 1.0)) / math.log(1 + videos)

    def _expected(self, in_sample: int) -> float:
        # What is in none of the sample is taken to be in half a video of it.
        return max(in_sample, 0.5) * self.videos / max(self.sampled, 1)


NONE = Rarities(0, 0, {}, {})


class RaritySampler:
    """Keeps the rarities. A caller that finds them stale starts a new sample in the background, and waits only while there are none yet."""

    def __init__(self, repository: SuggestedVideosRepository) -> None:
        self._repository = repository
        self._rarities: Rarities | None = None
        self._made_at = 0.0
        self._making: asyncio.Task[None] | None = None

    async def rarities(self) -> Rarities:
        """Those of the last half minute, or at least some."""
        if self._rarities is None or monotonic() - self._made_at > _FRESH_SECONDS:
            if self._making is None or self._making.done():
                # Others wait for it too: it must not end with this caller, nor at its deadline.
                self._making = start_shielded(self._make())
            if self._rarities is None:
                await asyncio.shield(self._making)
        return self._rarities or NONE

    async def _make(self) -> None:
        try:
            rows = await self._repository.on_ring(RING_START, SAMPLE_ROWS)
        except (ServiceError, DatabaseError) as error:
            _log.warning("how rare tags and words are was not sampled: %s", error)
            return  # the reads that follow say what is wrong
        self._rarities = await counted(rows)
        self._made_at = monotonic()


async def counted(rows: Sequence[RingRow]) -> Rarities:
    """The rarities that a sample from the start of the ring gives. Lets other work go on in between."""
    with_tag: Counter[str] = Counter()
    with_word: Counter[str] = Counter()
    for row in rows:
        await checkpoint()
        content = content_of(row.user_id, row.name, row.tags)
        _count(with_tag, content.tags)
        _count(with_word, content.words)
    return Rarities(_number_of(rows), len(rows), with_tag, with_word)


def _count(counter: Counter[str], keys: Iterable[str]) -> None:
    counter.update(key for key in keys if len(key) <= _MAX_CHARACTERS)
    if len(counter) > _MAX_KEYS:
        # Only the common ones matter: the others are forgotten now and then.
        for key in [key for key, count in counter.items() if count <= 1]:
            del counter[key]


def _number_of(rows: Sequence[RingRow]) -> float:
    """How many videos there are, by how close those of the sample lie on the ring (k minimum values, as in search)."""
    if len(rows) < SAMPLE_ROWS:
        return len(rows)
    return (len(rows) - 1) * _RING_SIZE / max(rows[-1].token - RING_START, 1)
