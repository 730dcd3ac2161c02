"""Tasks of a process that must not end while it serves (promise 22).

Each is begun again after an error; if one ends all the same, the process says so and stops.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from grpc_discovery.tasks import cancel_and_wait, keep_running

_log = logging.getLogger(__name__)


class TaskEnded(Exception):
    """A task has ended that must not. Its text names it."""


class Background:
    """The tasks of one life of a process."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        """Set when one of them has ended by itself."""
        self._reason = ""

    @asynccontextmanager
    async def running(self, name: str, work: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        """Run `work`, over and over, in a task of its own until the block is left."""
        task = asyncio.create_task(keep_running(name, work), name=name)
        try:
            async with self.needing(task):
                yield
        finally:
            await cancel_and_wait([task])

    @asynccontextmanager
    async def needing(self, task: "asyncio.Task[None]") -> AsyncIterator[None]:
        """A task that somebody else runs must not end until the block is left."""
        task.add_done_callback(self._note_end)
        try:
            yield
        finally:
            task.remove_done_callback(self._note_end)

    def raise_if_ended(self) -> None:
        """Raise TaskEnded if one of them has ended by itself."""
        if self.ended.is_set():
            raise TaskEnded(self._reason)

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        self._reason = f"the task '{task.get_name()}' has ended, without which this process does not do what it should"
        _log.error("%s: stopping", self._reason, exc_info=error)
        self.ended.set()
