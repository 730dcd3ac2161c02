"""Rating a video: the ratings and their totals change together, so the totals are exact whatever happens between two steps.

Both are written by one conditional batch. It asks that nothing it was computed from has changed: the version of the totals (a new random one
with each write, so that emptied tables confuse nobody) and the former rating of each user. An attempt begins by reading, so one whose
outcome is unknown is simply made again. docs/decisions/0020.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from common.errors import Unavailable
from common.hints import write_hint
from common.timestamps import from_ms, now
from services.ratings.coalescing import Coalescing, OutcomeUnknown
from services.ratings.repository import RatingsRepository, StandingRow, Totals

_SAME_RATING = timedelta(seconds=10)
"""A listed rating that is no further from the written one is the same rating: the two are written side by side."""


class Tally:
    """Writes ratings and keeps their totals."""

    def __init__(self, ratings: RatingsRepository) -> None:
        self.ratings = ratings
        self._coalescing = Coalescing(self._attempt)

    async def rate(self, video_id: UUID, user_id: UUID, rating: int) -> None:
        """Set the rating of a user, and list it among their ratings."""
        listing = asyncio.create_task(write_hint(self.ratings.list_rating(user_id, now(), video_id, rating)))
        try:
            await self._coalescing.write(video_id, user_id, rating)
        finally:
            await listing  # it ends with the call, and so before the session is closed

    async def totals(self, video_id: UUID) -> Totals:
        """Number and sum of a video's ratings. Totals that nobody has computed yet are computed and kept."""
        standing = await self.ratings.standing(video_id)
        if standing is None or standing.version is not None:
            return _totals(standing)
        totals = await self.ratings.counted(video_id)
        await self.ratings.write_if_unchanged(video_id, standing, totals, {}, {})  # not applied: another was faster
        return totals

    async def restore(self, video_id: UUID) -> bool:
        """Compute the totals of a video again from its ratings, and list each among those of its user. Safe while it is rated."""
        while True:
            standing = await self.ratings.standing(video_id, decides=True)
            if standing is None:
                return True
            totals = await self.ratings.counted(video_id)
            if standing.version and totals == (standing.ratings_count, standing.ratings_total):
                break
            if await self.ratings.write_if_unchanged(video_id, standing, totals, {}, {}):
                break
        async for row in self.ratings.written(video_id):
            if row.rating is not None and row.written is not None:
                await self._list_if_missing(video_id, row.user_id, row.rating, from_ms(row.written // 1000))
        if totals.number:
            await self.ratings.mark_as_rated(video_id, totals)
        return True

    async def _attempt(self, video_id: UUID, ratings: Mapping[UUID, int]) -> bool:
        """Try to write ratings and the totals that follow from them. False if something changed between reading and writing."""
        standing, former = await self.ratings.standing_and_former(video_id, ratings)
        is_computed = standing is None or standing.version is not None
        before = _totals(standing) if is_computed else await self.ratings.counted(video_id)
        after = Totals(
            before.number + sum(former.get(user_id) is None for user_id in ratings),
            before.total + sum(rating - (former.get(user_id) or 0) for user_id, rating in ratings.items()),
        )
        try:
            applied = await self.ratings.write_if_unchanged(video_id, standing, after, ratings, former)
        except Unavailable as error:
            raise OutcomeUnknown(error.message) from error
        if applied:
            await self.ratings.update_hints(video_id, before, after)
        return applied

    async def _list_if_missing(self, video_id: UUID, user_id: UUID, rating: int, written: datetime) -> None:
        if not await self.ratings.is_listed(user_id, written - _SAME_RATING, written + _SAME_RATING, video_id):
            await self.ratings.list_rating(user_id, written, video_id, rating)


def _totals(standing: StandingRow | None) -> Totals:
    """The totals that a partition holds; none where nobody rated."""
    return Totals(standing.ratings_count or 0, standing.ratings_total or 0) if standing else Totals(0, 0)
