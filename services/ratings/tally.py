"""Rating a video: the ratings and their totals change together, so the totals are exact whatever happens between two steps.

Both are written by one conditional batch. It asks that nothing it was computed from has changed: the version of the totals (a new random one
with each write, so that emptied tables confuse nobody) and the former rating of each user. An attempt begins by reading, so one whose
outcome is unknown is simply made again. docs/decisions/0020.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from common.errors import Unavailable
from common.timestamps import from_ms, now
from services.ratings.coalescing import Coalescing, OutcomeUnknown
from services.ratings.counting import Counting
from services.ratings.repository import NewRating, RatingsRepository, Totals, UserRatingRow, totals_of

_SAME_RATING = timedelta(seconds=10)
"""A listed rating that is no further from the written one is the same rating: the one is written right after the other."""

_KEEPS_PLACE = timedelta(days=1)
"""A rating that is replaced sooner keeps its place among those of its user. Each change of place leaves a tombstone there."""


class Tally:
    """Writes ratings and keeps their totals."""

    def __init__(self, ratings: RatingsRepository) -> None:
        self.ratings = ratings
        self._coalescing = Coalescing(self._attempt)
        self._counting = Counting(ratings)

    async def rate(self, video_id: UUID, user_id: UUID, rating: int) -> None:
        """Set the rating of a user, and list it among their ratings."""
        await self._coalescing.write(video_id, user_id, rating)

    async def totals(self, video_id: UUID) -> Totals:
        """Number and sum of a video's ratings. Totals that nobody has computed yet are computed and kept."""
        standing = await self.ratings.standing(video_id)
        if standing is None or standing.version is not None:
            return totals_of(standing)
        return await self._counting.totals(video_id)

    async def restore(self, video_id: UUID) -> bool:
        """Compute the totals of a video again from its ratings, and list each among those of its user. Safe while it is rated."""
        while True:
            standing = await self.ratings.standing(video_id, decides=True)
            if standing is None:
                return True
            totals = await self.ratings.counted(video_id)
            if standing.version and totals == (standing.ratings_count, standing.ratings_total):
                break
            if await self.ratings.write_if_unchanged(video_id, standing, totals, {}):
                break
        async for row in self.ratings.written(video_id):
            if row.rating is not None and row.listed_at is not None:
                await self.ratings.restore_listed(row.user_id, row.listed_at, video_id, row.rating)
            elif row.rating is not None and row.written is not None:
                await self._list_if_missing(video_id, row.user_id, row.rating, from_ms(row.written // 1000))
        if totals.number:
            await self.ratings.mark_as_rated(video_id, totals)
        return True

    async def _attempt(self, video_id: UUID, ratings: Mapping[UUID, int]) -> bool:
        """Try to write ratings and the totals that follow from them. False if something changed between reading and writing."""
        standing, former = await self.ratings.standing_and_former(video_id, ratings)
        if standing and standing.version is None:
            await self._counting.totals(video_id)
            standing, former = await self.ratings.standing_and_former(video_id, ratings)
            if standing and standing.version is None:
                return False
        timestamp = now()
        new = {user_id: _replacing(former.get(user_id), rating, timestamp) for user_id, rating in ratings.items()}
        before = totals_of(standing)
        after = Totals(
            before.number + sum(each.former is None for each in new.values()),
            before.total + sum(each.rating - (each.former or 0) for each in new.values()),
        )
        try:
            applied = await self.ratings.write_if_unchanged(video_id, standing, after, new)
        except Unavailable as error:
            raise OutcomeUnknown(error.message) from error
        if applied:
            await self.ratings.update_hints(video_id, before, after, new)
        return applied

    async def _list_if_missing(self, video_id: UUID, user_id: UUID, rating: int, written: datetime) -> None:
        if not await self.ratings.is_listed(user_id, written - _SAME_RATING, written + _SAME_RATING, video_id):
            await self.ratings.restore_listed(user_id, written, video_id, rating)


def _replacing(former: UserRatingRow | None, rating: int, timestamp: datetime) -> NewRating:
    """A rating given now in place of a former one, or of none. It is listed now, or takes the place of one that was listed a short while ago."""
    if former is None or former.rating is None:
        return NewRating(rating, None, timestamp, None)
    if former.listed_at is None:
        return NewRating(rating, former.rating, timestamp, None)
    if timestamp - former.listed_at < _KEEPS_PLACE:
        return NewRating(rating, former.rating, former.listed_at, None)
    return NewRating(rating, former.rating, timestamp, former.listed_at)
