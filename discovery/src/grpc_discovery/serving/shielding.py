"""Work of several steps that runs to its end, also when the caller goes away or its deadline passes. Stopping waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from grpc_discovery.serving.deadlines import context_without_deadline

Result = TypeVar("Result")

_under_way: set[asyncio.Task[Any]] = set()


async def shielded(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end and return its result; what it raises is raised.

    A caller that is cancelled leaves at once, and the work goes on without it. The caller's deadline does not hold for the work: if the
    third of three steps found no time left, the first two would have been for nothing.
    """
    task = asyncio.create_task(work, context=context_without_deadline())
    _under_way.add(task)
    task.add_done_callback(_forget)
    return await asyncio.shield(task)


async def finish_shielded(seconds: float) -> int:
    """Wait up to `seconds` for all shielded work of this process; returns how many pieces are not done even then."""
    if not _under_way:
        return 0
    _, pending = await asyncio.wait(_under_way, timeout=seconds)
    return len(pending)


def _forget(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # a caller that left does not fetch it, of which asyncio would complain
