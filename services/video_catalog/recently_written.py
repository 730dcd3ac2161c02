"""Rows that a process has written lately, and need not write again: those of the index that say the same for every video.

They are forgotten after a while, so that a table which lost them gets them again.
"""

from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic

from common.caches import CacheSize, watch

MAX_REMEMBERED = 50_000
REMEMBERED_SECONDS = 600.0
_BYTES_EACH = 300


class RecentlyWritten:
    """Texts whose rows were written lately."""

    def __init__(self, name: str) -> None:
        """`name` is that of the cache in the metrics."""
        self._until: OrderedDict[str, float] = OrderedDict()
        watch(name, self._until, lambda until: CacheSize.estimated(len(until), _BYTES_EACH))

    def without(self, texts: Iterable[str]) -> list[str]:
        """The texts that were not added lately, sorted."""
        now = monotonic()
        return sorted(text for text in texts if self._until.get(text, 0.0) < now)

    def add(self, texts: Iterable[str]) -> None:
        """Remember texts for a while; the oldest are forgotten for them."""
        until = monotonic() + REMEMBERED_SECONDS
        for text in texts:
            self._until[text] = until
            self._until.move_to_end(text)
        while len(self._until) > MAX_REMEMBERED:
            self._until.popitem(last=False)
