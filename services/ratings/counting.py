"""Counting ratings whose totals were never computed, because other tools or older backends wrote them.

A video may have a million. So a count is not part of the call that finds it missing: it reads some hundred rows at a time, without the caller's
deadline, once at a time in this process for each video, and keeps what it found. A caller whose time is up may come again for it.
"""

import asyncio
from uuid import UUID

from grpc_discovery import start_shielded, time_left
from grpc_discovery.serving.deadlines import waited_too_long
from services.ratings.repository import RatingsRepository, Totals, totals_of

_AT_ONCE = 4
_MAX_WAIT_SECONDS = 10.0  # for callers that set no deadline


class Counting:
    """Counts the ratings of videos, and keeps the totals."""

    def __init__(self, ratings: RatingsRepository) -> None:
        self._ratings = ratings
        self._under_way: dict[UUID, asyncio.Task[Totals]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def totals(self, video_id: UUID) -> Totals:
        """The totals of a video, counted and kept. Raises DeadlineExceeded or Unavailable; the count goes on then."""
        seconds = time_left(_MAX_WAIT_SECONDS)
        task = self._under_way.get(video_id)
        if task is None:
            task = self._under_way[video_id] = start_shielded(self._count(video_id))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(task)
        except TimeoutError:
            text = "The ratings of this video are being counted. Please try again later."
            raise waited_too_long(text) from None

    async def _count(self, video_id: UUID) -> Totals:
        try:
            async with self._room:
                while True:
                    standing = await self._ratings.standing(video_id, decides=True)
                    if standing is None or standing.version is not None:
                        return totals_of(standing)
                    totals = await self._ratings.counted(video_id)
                    # Not applied: another process was faster, or the table was emptied.
                    if await self._ratings.write_if_unchanged(video_id, standing, totals, {}):
                        return totals
        finally:
            del self._under_way[video_id]
