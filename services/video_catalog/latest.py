"""The latest videos of all users: a walk back over the days, each of which is a partition of its own."""

import asyncio
from datetime import timedelta
from math import ceil

from common.timestamps import now
from services.video_catalog.repository import LatestVideoRow, Start, VideoCatalogRepository

MAX_DAYS_AT_ONCE = 16
_CLOCKS_DIFFER = timedelta(hours=1)
"""Near midnight another instance, whose clock is ahead, may have written into the next day."""


async def latest_videos(
    repository: VideoCatalogRepository, limit: int, days: int, start: Start | None
) -> list[LatestVideoRow]:
    """Up to `limit` videos of the last `days` days, newest first, from `start` on.

    Walks back from the first day that can hold one, several days at once while they turn out to hold few.
    """
    today, newest_day = now().date(), (now() + _CLOCKS_DIFFER).date()
    day = min(start.key.added_date.date(), newest_day) if start else newest_day
    last_day = today - timedelta(days=days)
    if day < last_day:
        return []
    found = list(await repository.of_day(f"{day:%Y%m%d}", limit, start))
    at_once, walked = 2, 1
    while len(found) < limit and day > last_day:
        span = min(at_once, (day - last_day).days)
        missing = limit - len(found)
        earlier = (day - timedelta(days=back) for back in range(1, span + 1))
        for rows in await asyncio.gather(*(repository.of_day(f"{date:%Y%m%d}", missing) for date in earlier)):
            found.extend(rows)
        day -= timedelta(days=span)
        walked += span
        # About as many days as are needed, by what the days so far held; at most twice as many as before.
        expected = ceil((limit - len(found)) * walked / len(found)) if found else MAX_DAYS_AT_ONCE
        at_once = max(1, min(expected, span * 2, MAX_DAYS_AT_ONCE))
    return found[:limit]
