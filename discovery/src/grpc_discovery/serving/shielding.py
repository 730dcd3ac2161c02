"""Writes of more than one step run to their end, also when the caller goes away in the middle. Stopping waits for them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_under_way: set[asyncio.Task[Any]] = set()


async def shielded(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end and return its result. A cancelled caller leaves at once; the work goes on without it."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_forget)
    return await asyncio.shield(task)


async def finish_shielded(seconds: float) -> int:
    """Wait up to `seconds` for all shielded work, and return how many pieces are still not done."""
    if not _under_way:
        return 0
    _, pending = await asyncio.wait(_under_way, timeout=seconds)
    return len(pending)


def _forget(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # a caller that left does not fetch it; asyncio would complain of that
