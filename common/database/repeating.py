"""Repeating what may be repeated: the one place that decides when a statement is tried again, for how long, and with which timestamp.

When a node dies, the others notice only after some seconds. Until then some statements are answered with "too few replicas", and succeed a
moment later. Nothing is repeated while no node answers at all: then callers are told at once.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from common.database.availability import TooFewReplicas
from grpc_discovery import time_left

MAX_SECONDS = 10.0
"""How long a statement is repeated for callers without a deadline."""

_MIN_PAUSE, _MAX_PAUSE = 0.1, 2.0

Result = TypeVar("Result")

_timestamp: ContextVar[int | None] = ContextVar("timestamp of a repeated write", default=None)


def repeated_timestamp() -> int | None:
    """The timestamp of the present attempt in microseconds since 1970, if it is a repetition.

    It is that of the first attempt: what somebody else has written since is newer, and stays.
    """
    return _timestamp.get()


async def repeated(attempt: Callable[[TooFewReplicas | None], Awaitable[Result]]) -> Result:
    """The result of `attempt`, which is made again while it raises TooFewReplicas and the caller's deadline allows. It gets the last error."""
    began, loop = time.time_ns() // 1000, asyncio.get_running_loop()
    ends = loop.time() + time_left(MAX_SECONDS)
    try:
        return await attempt(None)
    except TooFewReplicas as error:
        former = error
    pause, token = _MIN_PAUSE, _timestamp.set(began)
    try:
        while True:
            seconds = random.uniform(pause / 2, pause)
            if loop.time() + seconds >= ends:
                raise former
            await asyncio.sleep(seconds)
            try:
                return await attempt(former)
            except TooFewReplicas as error:
                former = error
            pause = min(_MAX_PAUSE, pause * 2)
    finally:
        _timestamp.reset(token)
