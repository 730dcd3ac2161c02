"""Coalescing: ratings of one video that wait in this process are written together.

A conditional write takes several milliseconds, and only one at a time succeeds on a video. So while one is under way, further ratings of
that video wait, and the next write takes all of them. A write that lost to another process is tried again, with all that wait by then.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import NamedTuple
from uuid import UUID

from common.caches import CacheSize, watch
from common.errors import Unavailable
from common.metrics import RATING_BATCHES, RATINGS_COALESCED
from grpc_discovery import start_shielded, time_left
from grpc_discovery.serving.deadlines import set_time_left, waited_too_long

MAX_IN_ONE_WRITE = 200
"""Measured: one rating in 3 ms, 200 in 60 ms; larger ones gain little and hold up those that come after."""

_DEFAULT_SECONDS = 10.0  # for callers that set no deadline
_MIN_PAUSE, _MAX_PAUSE = 0.005, 0.1
_MAX_UNKNOWN = 3
_PENDING_BYTES = 1_000

Attempt = Callable[[UUID, Mapping[UUID, int]], Awaitable[bool]]
"""Tries to write ratings (user: rating) of a video; False if another process changed the video meanwhile."""


class OutcomeUnknown(Unavailable):
    """The database did not say whether a write was applied. An attempt reads before it writes, so trying again is safe."""


class _PendingRating(NamedTuple):
    user_id: UUID
    rating: int
    expires: float
    done: asyncio.Future[None]


class Coalescing:
    """Gathers the ratings of each video, and lets `attempt` write them until they are written."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._pending: dict[UUID, list[_PendingRating]] = {}
        watch("pending_ratings", self, Coalescing.size)

    def size(self) -> CacheSize:
        """How many ratings wait, and about how many bytes they take."""
        return CacheSize.estimated(sum(map(len, self._pending.values())), _PENDING_BYTES)

    async def write(self, video_id: UUID, user_id: UUID, rating: int) -> None:
        """Return when the rating is written. Of two by the same user, the later call wins. Raises DeadlineExceeded or Unavailable."""
        seconds = time_left(_DEFAULT_SECONDS)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        pending = self._pending.get(video_id)
        if pending is None:
            pending = self._pending[video_id] = []
            start_shielded(self._work(video_id, pending))
        pending.append(_PendingRating(user_id, rating, loop.time() + seconds, done))
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError:
            raise waited_too_long("Too many ratings of this video at once. Please try again later.") from None

    async def _work(self, video_id: UUID, pending: list[_PendingRating]) -> None:
        """Write the pending ratings of a video until there are none. Those whose callers have gone are left out: no work is begun for them."""
        try:
            lost = unknown = 0
            while True:
                pending[:] = [rating for rating in pending if not rating.done.done()]
                if not pending:
                    return
                together = pending[:MAX_IN_ONE_WRITE]
                try:
                    written = await self._attempt_once(video_id, together)
                except OutcomeUnknown as error:
                    unknown += 1
                    if unknown == _MAX_UNKNOWN:
                        _fail(together, error)
                        lost = unknown = 0
                        continue
                    written = False
                if written:
                    _finish(together)
                    lost = unknown = 0
                else:
                    lost += 1
                    await asyncio.sleep(random.uniform(0, min(_MAX_PAUSE, _MIN_PAUSE * 2**lost)))
        finally:
            # Also when the loop ends by something unforeseen: later ratings of this video must not wait for a worker that is gone.
            del self._pending[video_id]
            _fail(pending, OutcomeUnknown("The rating was not written. Please try again later."))

    async def _attempt_once(self, video_id: UUID, together: list[_PendingRating]) -> bool:
        """Whether the ratings were written. An error that is not OutcomeUnknown is theirs: their callers get it, and True says that they are done."""
        # The worker was started by one caller, whose deadline is not that of the others.
        set_time_left(max(rating.expires for rating in together) - asyncio.get_running_loop().time())
        try:
            written = await self._attempt(video_id, {pending.user_id: pending.rating for pending in together})
        except OutcomeUnknown:
            raise
        except Exception as error:
            _fail(together, error)
            return True
        if written:
            RATING_BATCHES.inc()
            RATINGS_COALESCED.inc(len(together) - 1)
        return written


def _finish(ratings: list[_PendingRating]) -> None:
    for rating in ratings:
        if not rating.done.done():
            rating.done.set_result(None)


def _fail(ratings: list[_PendingRating], error: Exception) -> None:
    """Raise the error in each caller that still waits: an exception of its own each, because raising one changes its traceback."""
    for rating in ratings:
        if not rating.done.done():
            rating.done.set_exception(copy(error))
