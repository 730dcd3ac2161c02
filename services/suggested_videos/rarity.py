"""How rare tags and words are, from a sample of the videos: one that few videos have says more about those that have it."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from common.caches import CacheSize, watch
from common.ring_sample import RING_START, RingSample, number_of_videos
from common.time_slices import checkpoint
from services.suggested_videos.content import content_of
from services.suggested_videos.repository import SuggestedVideosRepository
from services.suggested_videos.rows import RingRow

_KEY_BYTES = 175
_MAX_KEYS, _MAX_CHARACTERS = 20_000, 40
"""Tags and words that are counted, of each no more than this, and none that is longer."""


class Rarities:
    """How rare tags and words are: of how many videos there are, in how many of `sampled` each was."""

    def __init__(self, videos: float, sampled: int, with_tag: Mapping[str, int], with_word: Mapping[str, int]) -> None:
        self.videos, self.sampled = videos, sampled
        self._with_tag, self._with_word = with_tag, with_word
        # Worked out once, because every list asks for hundreds.
        self._tags = {tag: self.rarity(self._expected(count)) for tag, count in with_tag.items()}
        self._words = {word: self.rarity(self._expected(count)) for word, count in with_word.items()}
        self._unknown = self.rarity(self._expected(0))

    @property
    def size(self) -> CacheSize:
        """How many tags and words there are, and about how many bytes they take."""
        return CacheSize.estimated(len(self._with_tag) + len(self._with_word), _KEY_BYTES)

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


def rarity_sample(repository: SuggestedVideosRepository) -> RingSample[RingRow, Rarities]:
    """What keeps the rarities."""

    async def read(limit: int) -> Sequence[RingRow]:
        return await repository.on_ring(RING_START, limit)

    sample = RingSample(read, counted, NONE)
    watch("rarities", sample, lambda sample: sample.kept.size if sample.kept else CacheSize(0, 0))
    return sample


async def counted(rows: Sequence[RingRow]) -> Rarities:
    """The rarities that a sample from the start of the ring gives. Lets other work go on in between."""
    with_tag: Counter[str] = Counter()
    with_word: Counter[str] = Counter()
    for row in rows:
        await checkpoint()
        content = content_of(row.user_id, row.name, row.tags)
        _count(with_tag, content.tags)
        _count(with_word, content.words)
    return Rarities(number_of_videos(rows), len(rows), with_tag, with_word)


def _count(counter: Counter[str], keys: Iterable[str]) -> None:
    counter.update(key for key in keys if len(key) <= _MAX_CHARACTERS)
    if len(counter) > _MAX_KEYS:
        # Only the common ones matter: the others are forgotten now and then.
        for key in [key for key, count in counter.items() if count <= 1]:
            del counter[key]
