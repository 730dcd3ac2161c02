"""The caches of this process that live now, so that metrics can say how large each is.

Nothing is counted while a cache is used: whoever asks looks at it. docs/operations.md lists all of them, with their bounds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypeVar
from weakref import ref

LOCK_BYTES = 500
"""What a lock takes at most in a WeakValueDictionary, with its key."""

STATEMENT_BYTES = 15_000
"""What a prepared statement takes in a driver: one with 13 columns about 6 KB in acsylla, and 13 KB in cassandra-driver."""

Cache = TypeVar("Cache")


class CacheSize(NamedTuple):
    """How many entries a cache has, and about how many bytes these take: an estimate, rather too high."""

    entries: int
    bytes: int

    @classmethod
    def estimated(cls, entries: int, bytes_each: int) -> Self:
        """That of a cache whose entries take about so many bytes each."""
        return cls(entries, entries * bytes_each)


class _Living(NamedTuple):
    name: str
    cache: ref[Any]
    size_of: Callable[[Any], CacheSize]


_living: list[_Living] = []


def watch(name: str, cache: Cache, size_of: Callable[[Cache], CacheSize]) -> None:
    """Let `sizes` tell of a cache for as long as it lives. `size_of` must not refer to it, or it lives for ever: no bound method."""
    _living[:] = [each for each in _living if each.cache() is not None]
    _living.append(_Living(name, ref(cache), size_of))


def sizes() -> dict[str, CacheSize]:
    """How large the caches are, by name; of several with one name together."""
    found: dict[str, CacheSize] = {}
    for name, reference, size_of in _living:
        cache = reference()
        if cache is not None:
            entries, size = size_of(cache)
            before = found.get(name, CacheSize(0, 0))
            found[name] = CacheSize(before.entries + entries, before.bytes + size)
    return found
