"""Which words typing mistakes may be corrected to: written with a video, each word once in a while.

Words of a name or tag are written before a submit is answered. Those of a description are many, and nobody waits for them: they are written
in the background, one submit's after the other's. If the database fails, the next submit that has them writes them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from time import monotonic

from grpc_discovery import start_shielded
from services.video_catalog.index_plan import spelling_steps
from services.video_catalog.repository import VideoCatalogRepository

MAX_NEW_SPELLINGS = 100
MAX_QUEUED_SUBMITS = 64
MAX_REMEMBERED = 50_000
REMEMBERED_SECONDS = 600.0


class Spellings:
    """Writes the spellings of words, unless this process has done so lately."""

    def __init__(self, repository: VideoCatalogRepository) -> None:
        self._repository = repository
        self._written = _RecentlyWritten()
        self._turn = asyncio.Lock()
        self._queued = 0

    async def add(self, words: Iterable[str]) -> None:
        """Write all of the words that were not written lately."""
        await self._write(self._written.without(words))

    async def add_some(self, words: Iterable[str]) -> None:
        """Write at most MAX_NEW_SPELLINGS of the words that were not written lately."""
        await self._write(self._written.without(words)[:MAX_NEW_SPELLINGS])

    def add_in_background(self, words: Iterable[str]) -> None:
        """The same behind the caller's back; left out while MAX_QUEUED_SUBMITS wait."""
        new = self._written.without(words)[:MAX_NEW_SPELLINGS]
        if new and self._queued < MAX_QUEUED_SUBMITS:
            start_shielded(self._write_in_turn(new))

    async def _write_in_turn(self, words: Sequence[str]) -> None:
        self._queued += 1
        try:
            async with self._turn:
                await self.add(words)
        finally:
            self._queued -= 1

    async def _write(self, words: Sequence[str]) -> None:
        await self._repository.write_apart(spelling_steps(words))
        self._written.add(words)


class _RecentlyWritten:
    """Words whose spelling was written lately. They are forgotten after a while, so that a table which lost them gets them again."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def without(self, words: Iterable[str]) -> list[str]:
        """The words that were not added lately, sorted."""
        now = monotonic()
        return sorted(word for word in words if self._until.get(word, 0.0) < now)

    def add(self, words: Iterable[str]) -> None:
        """Remember words for a while; the oldest are forgotten for them."""
        until = monotonic() + REMEMBERED_SECONDS
        for word in words:
            self._until[word] = until
            self._until.move_to_end(word)
        while len(self._until) > MAX_REMEMBERED:
            self._until.popitem(last=False)
