"""The newest videos, for what follows where too little is popular: a few days back, and then as far as a sample of all videos tells."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from random import randrange
from uuid import UUID

from common.ring_sample import RING_START
from common.timestamps import now
from services.suggested_videos.repository import SuggestedVideosRepository
from services.suggested_videos.rows import AddedRow

_FIRST_DAYS, _MORE_DAYS = 3, 30
"""Days that are looked at first, tomorrow (of an instance whose clock is ahead) among them, and those before if that is not enough."""

_MIN_OF_A_DAY, _FULL_DAYS = 25, 4
"""Videos that are read of a day at least, and days of which all are read that are needed."""

_SAMPLED, _SAMPLED_DAYS = 256, 60
"""Videos from anywhere on the ring that are looked at if those days have too few, and the newest of their days that are looked at then."""


async def newest_videos(repository: SuggestedVideosRepository, limit: int) -> list[UUID]:
    """About the newest `limit` videos, newest first. Hints: some of them may be gone.

    On a site whose newest videos are old they are found through a sample, which also finds videos that no day lists.
    """
    tomorrow = (now() + timedelta(days=1)).date()
    found = await _of_days(repository, _days_back(tomorrow, _FIRST_DAYS), limit)
    if len(found) < limit:
        found += await _of_days(repository, _days_back(tomorrow - timedelta(days=_FIRST_DAYS), _MORE_DAYS), limit)
    if len(found) < limit:
        sample = await _sampled(repository)
        days = sorted({row.added_date.date() for row in sample} - set(_days_back(tomorrow, _FIRST_DAYS + _MORE_DAYS)))
        found += sample
        # The rows of the days beside the sample: it has some of the videos only, of a site with many.
        found += await _of_days(repository, days[: -_SAMPLED_DAYS - 1 : -1], limit)
    dates: dict[UUID, datetime] = {row.video_id: row.added_date for row in found}
    return sorted(dates, key=lambda video_id: (dates[video_id], video_id.int), reverse=True)[:limit]


async def _of_days(repository: SuggestedVideosRepository, days: Sequence[date], limit: int) -> list[AddedRow]:
    """The newest videos of days, the newest day first: up to `limit` of each of the few first ones that have many, some of each other day."""
    of_a_day = min(limit, max(_MIN_OF_A_DAY, 2 * limit // max(len(days), 1)))
    rows = await repository.newest(days, of_a_day)
    found = Counter(row.added_date.date() for row in rows)
    full = [day for day in days if found[day] >= of_a_day][:_FULL_DAYS]
    return [*rows, *(await repository.newest(full, limit) if of_a_day < limit else ())]


async def _sampled(repository: SuggestedVideosRepository) -> Sequence[AddedRow]:
    """Some videos, others each time: all of them where there are no more than that."""
    start = randrange(RING_START, -RING_START)  # no secret
    after, first = await asyncio.gather(repository.on_ring(start, _SAMPLED), repository.on_ring(RING_START, _SAMPLED))
    rows = {row.video_id: row for row in (*after, *(first if len(after) < _SAMPLED else ()))}
    return [
        AddedRow(row.video_id, row.added_date) for row in rows.values() if row.added_date is not None and row.user_id
    ]


def _days_back(last: date, count: int) -> list[date]:
    return [last - timedelta(days=back) for back in range(count)]
