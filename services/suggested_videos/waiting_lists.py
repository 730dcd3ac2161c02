"""Lists that wait to be made in the background, one after the other, while calls are answered with simpler ones."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import Context
from time import monotonic

from common.caches import CacheSize, watch
from services.suggested_videos.list_repository import ListName

_MAX_WAITING = 200
"""Lists that wait at most: 16 MB where each is of a video with the longest of descriptions. One that finds no room is asked for again: its answer is marked as made from content alone."""

_MAX_BYTES_EACH = 80_000
_SECONDS_EACH = 25.0
_REST, _MAX_REST_SECONDS = 2.0, 1.0
"""The worker rests twice as long as a list took: those who wait for an answer come first."""

_log = logging.getLogger(__name__)


class WaitingLists:
    """A bounded queue with one worker, which ends when nothing waits. What waits is lost with the process: the next caller of each asks again."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[ListName, Callable[[], Awaitable[None]]] = OrderedDict()
        self._making: ListName | None = None
        self._worker: asyncio.Task[None] | None = None
        watch("waiting_lists", self, lambda waiting: CacheSize.estimated(len(waiting), _MAX_BYTES_EACH))

    def __contains__(self, name: ListName) -> bool:
        """Whether a list waits, or is being made."""
        return name in self._waiting or name == self._making

    def __len__(self) -> int:
        """How many lists wait, without the one that is being made."""
        return len(self._waiting)

    def add(self, name: ListName, make: Callable[[], Awaitable[None]]) -> None:
        """Let a list be made after those that wait already."""
        if name in self or len(self._waiting) >= _MAX_WAITING:
            return
        self._waiting[name] = make
        if self._worker is None or self._worker.done():
            # In a context of its own, because the deadline of the present call does not hold for it. A stopping process does not wait for it.
            self._worker = asyncio.create_task(self._work(), context=Context())

    async def _work(self) -> None:
        while self._waiting:
            self._making, make = self._waiting.popitem(last=False)
            began = monotonic()
            try:
                async with asyncio.timeout(_SECONDS_EACH):
                    await make()
            except Exception as error:  # nobody waits for it; the next caller tries again
                _log.warning("the list %s of %s was not made: %s", *self._making, error)
            finally:
                self._making = None
            if self._waiting:
                await asyncio.sleep(min(_REST * (monotonic() - began), _MAX_REST_SECONDS))
