"""Ratings of one video that wait in this process are written together.

A conditional write takes several milliseconds, and only one at a time succeeds on a video. So while one is under way, further ratings of
that video wait, and the next write takes all of them. A write that lost to another process is tried again with all that wait by then.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from uuid import UUID

from common.errors import Unavailable
from grpc_discovery import time_left
from grpc_discovery.serving.deadlines import set_time_left, waited_too_long

MAX_IN_ONE_WRITE = 200
"""Measured: one rating in 3 ms, 200 in 60 ms; larger ones gain little and hold up those that come after."""

_PATIENCE_SECONDS = 10.0  # for callers that set no deadline
_MIN_PAUSE, _MAX_PAUSE = 0.005, 0.1
_MAX_UNKNOWN = 3

Attempt = Callable[[UUID, Mapping[UUID, int]], Awaitable[bool]]
"""Tries to write ratings (user: rating) of a video; False if another process changed the video meanwhile."""


class OutcomeUnknown(Unavailable):
    """The database did not say whether a write was applied. An attempt reads before it writes, so trying again is safe."""


class _Waiting(NamedTuple):
    user_id: UUID
    rating: int
    expires: float
    done: asyncio.Future[None]


class Grouping:
    """Gathers the ratings of each video, and makes `attempt` write them until they are."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._waiting: dict[UUID, list[_Waiting]] = {}
        self._workers: set[asyncio.Task[None]] = set()

    async def write(self, video_id: UUID, user_id: UUID, rating: int) -> None:
        """Return when the rating is written. Of two by the same user, the later call wins."""
        seconds = time_left(_PATIENCE_SECONDS)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        waiting = self._waiting.get(video_id)
        if waiting is None:
            waiting = self._waiting[video_id] = []
            worker = loop.create_task(self._work(video_id, waiting))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        waiting.append(_Waiting(user_id, rating, loop.time() + seconds, done))
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError:
            raise waited_too_long("Too many ratings of this video at once. Please try again later.") from None

    async def _work(self, video_id: UUID, waiting: list[_Waiting]) -> None:
        """Write what waits for `video_id` until nothing does. Callers that left are left out: no work is begun for them."""
        lost = unknown = 0
        while True:
            waiting[:] = [each for each in waiting if not each.done.done()]
            if not waiting:
                del self._waiting[video_id]
                return
            together = waiting[:MAX_IN_ONE_WRITE]
            # The worker was begun by one caller, whose deadline is not that of the others.
            set_time_left(max(each.expires for each in together) - asyncio.get_running_loop().time())
            try:
                written = await self._attempt(video_id, {each.user_id: each.rating for each in together})
            except Exception as error:
                unknown += 1
                if not isinstance(error, OutcomeUnknown) or unknown == _MAX_UNKNOWN:
                    for each in together:
                        if not each.done.done():
                            each.done.set_exception(error)
                    lost = unknown = 0
                    continue
                written = False
            if written:
                for each in together:
                    if not each.done.done():
                        each.done.set_result(None)
                lost = unknown = 0
            else:
                lost += 1
                await asyncio.sleep(random.uniform(0, min(_MAX_PAUSE, _MIN_PAUSE * 2**lost)))
