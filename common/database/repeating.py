"""Repeating what may be repeated: the one place that decides when a statement is tried again, and for how long.

When a node dies, the others notice only after some seconds. Until then some statements are answered with "too few replicas", and succeed a
moment later. Nothing is repeated while no node answers at all: then callers are told at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from common.database.availability import TooFewReplicas
from common.database.interface import Outcome
from common.errors import Unavailable
from grpc_discovery import time_left
from grpc_discovery.telemetry.spans import recorded

MAX_SECONDS = 10.0
"""How long a statement is repeated for callers without a deadline."""

_MIN_PAUSE, _MAX_PAUSE = 0.1, 2.0
_MAX_UNKNOWN = 3

Result = TypeVar("Result")


async def repeated(attempt: Callable[[TooFewReplicas | None], Awaitable[Result]], idempotent: bool = True) -> Result:
    """The result of `attempt`, which is made again while it raises TooFewReplicas and the caller's deadline allows. It gets the last error.

    What is not `idempotent` is tried once.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + time_left(MAX_SECONDS)
    former, pause = None, _MIN_PAUSE
    while True:
        try:
            return await attempt(former)
        except TooFewReplicas as error:
            former = error
            seconds = random.uniform(pause / 2, pause)
            if not idempotent or loop.time() + seconds >= ends:
                raise
        _tell_of_retry(former)
        await asyncio.sleep(seconds)
        pause = min(_MAX_PAUSE, pause * 2)


async def read_again(attempt: Callable[[], Awaitable[Result]], former: TooFewReplicas) -> Result:
    """The result of a read whose `former` attempt met too few replicas or lost its connection, made once more after a moment.

    More often would only keep the caller waiting: a page without one of its parts is shown at once.
    """
    seconds = min(time_left(_MIN_PAUSE), random.uniform(0, _MIN_PAUSE))
    _tell_of_retry(former)
    await asyncio.sleep(seconds)
    return await attempt()


async def settled(attempt: Callable[[], Awaitable[Outcome]], own: Mapping[str, Any]) -> Outcome:
    """The outcome of a lightweight transaction that inserts a row which holds `own`: what nobody else writes, such as an id made for it.

    Where an outcome is unknown (many at once, or a node that is lost), it is tried again, and the row tells whether the first attempt was
    applied. Raises Unavailable when the outcome stays unknown.
    """
    for number in range(1, _MAX_UNKNOWN + 1):
        try:
            outcome = await attempt()
        except Unavailable as error:
            if number == _MAX_UNKNOWN:
                raise
            _tell_of_retry(error)
            await asyncio.sleep(random.uniform(0, _MIN_PAUSE))
        else:
            break
    if not outcome.applied and number > 1 and all(outcome.current[0].get(name) == own[name] for name in own):
        return Outcome(applied=True, current=[])
    return outcome


def _tell_of_retry(former: Unavailable) -> None:
    """Note in the present span, if there is one, that something is tried again, and what the attempt before it met."""
    if span := recorded():
        span.add_event("retry", reason=type(former).__name__)
