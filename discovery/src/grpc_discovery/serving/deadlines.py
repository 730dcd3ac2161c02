"""The caller's deadline, kept in a context variable so that handlers need not pass it on, and work that runs on without it.

The interceptor sets it; whatever waits for something else, such as a database, asks how much of it is left.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from grpc_discovery.serving.statuses import DeadlineExceeded, ServiceError, Unavailable

# Timers of loops and drivers are a little off, so a deadline that is about to pass counts as passed.
_TIMER_SLACK_SECONDS = 0.05

Result = TypeVar("Result")
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_shielded: set[asyncio.Task[Any]] = set()


def set_time_left(seconds: float | None) -> None:
    """Set the deadline of the present task to `seconds` from now; None for a caller that set none."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


def time_left(max_seconds: float) -> float:
    """Seconds that a piece of work may take now: what is left of the deadline, and never more than `max_seconds`.

    Raises DeadlineExceeded when nothing is left, so that no work is begun after it.
    """
    left = max_seconds if (deadline := _deadline.get()) is None else deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the deadline of the call has passed")
    return min(left, max_seconds)


def waited_too_long(text: str) -> ServiceError:
    """The error for something that took too long: DeadlineExceeded if the caller's time is up, else Unavailable with `text`."""
    deadline = _deadline.get()
    if deadline is not None and deadline - time.monotonic() < _TIMER_SLACK_SECONDS:
        return DeadlineExceeded("the deadline of the call has passed")
    return Unavailable(text)


async def shielded(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` of several steps to its end, and return its result; what it raises is raised. A stopping process waits for it.

    A caller that is cancelled leaves at once, and the work goes on without it. The caller's deadline does not hold for the work: if the
    third of three steps found no time left, the first two would have been for nothing.
    """
    return await asyncio.shield(start_shielded(work))


def start_shielded(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Begin `work` that nobody, or not only the present caller, waits for: it is shielded in the same way. What it raises is not logged."""
    context = copy_context()
    context.run(_deadline.set, None)
    task = asyncio.create_task(work, context=context)
    _shielded.add(task)
    task.add_done_callback(_forget)
    return task


async def finish_shielded(seconds: float) -> int:
    """Wait up to `seconds` for all shielded work of this process, also for what that begins; returns how many pieces are not done even then."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while _shielded and (left := until - loop.time()) > 0:
        await asyncio.wait(_shielded, timeout=left)
    return len(_shielded)


def _forget(task: asyncio.Task[Any]) -> None:
    _shielded.discard(task)
    if not task.cancelled():
        task.exception()  # a caller that left does not fetch it, of which asyncio would complain
