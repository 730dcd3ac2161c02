"""What one list was made from and the next may need too, kept in memory for some time and within a bound in bytes."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from common.caches import CacheSize, watch

Value = TypeVar("Value")


class _Entry(NamedTuple, Generic[Value]):
    until: float
    size: int
    value: Value


class Held(Generic[Value]):
    """Values by the id of a person or a video; beyond the bound those that were used longest ago are dropped."""

    def __init__(self, name: str, max_bytes: int) -> None:
        """`name` is that of the cache in the metrics."""
        self._max_bytes = max_bytes
        self._entries: OrderedDict[UUID, _Entry[Value]] = OrderedDict()
        self._bytes = 0
        watch(name, self, lambda held: CacheSize(len(held._entries), held._bytes))

    def known(self, ids: Iterable[UUID]) -> dict[UUID, Value]:
        """Those of the values that are held and not too old."""
        now = time.monotonic()
        found = {each: entry.value for each in ids if (entry := self._entries.get(each)) and entry.until > now}
        for each in found:
            self._entries.move_to_end(each)
        return found

    def hold(self, each: UUID, value: Value, size: int, seconds: float) -> None:
        """Hold a value, which takes `size` bytes, for so many seconds."""
        before = self._entries.pop(each, None)
        self._entries[each] = _Entry(time.monotonic() + seconds, size, value)
        self._bytes += size - (before.size if before else 0)
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size
