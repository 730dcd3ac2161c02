"""Background work that must not end unnoticed (promise 22): it is begun again after an error, and the error stands in the log."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable

_PAUSE_SECONDS = (0.3, 1.0)

_log = logging.getLogger(__name__)


async def keep_running(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run `work` without end: again after a short pause when it has returned, and when it has failed, which is logged with its trace."""
    while True:
        await keep_trying(name, work)
        await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))


async def keep_trying(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run `work` until it has returned once; each failure is logged with its trace, and followed by another try after a short pause."""
    while True:
        try:
            await work()
            return
        except Exception:
            # Nobody foresaw it, and nobody else would notice that the work has stopped.
            _log.exception("%s failed and is begun again", name)
        await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))


async def cancel_and_wait(tasks: Iterable["asyncio.Task[object] | None"]) -> None:
    """Cancel the tasks and return when all of them have ended; None stands for one that was never begun."""
    begun = [task for task in tasks if task]
    for task in begun:
        task.cancel()
    if begun:
        await asyncio.wait(begun)
