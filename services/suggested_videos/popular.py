"""Making the list of popular videos: those that were kept as candidates, those with events of ratings and plays since, and the newest.

The newest are candidates like the others. Those of them that nobody rated well or played follow at the end: the list is empty only if there is
no video.
"""

import asyncio
from datetime import datetime, timedelta

from common.time_slices import checkpoint
from common.timestamps import now
from services.suggested_videos import ranking
from services.suggested_videos.list_repository import ListRepository
from services.suggested_videos.newest import newest_videos
from services.suggested_videos.ranked_list import MAX_LISTED, RankedList, filled_up, same_talks_last
from services.suggested_videos.repository import SuggestedVideosRepository

POPULAR_REASON, NEWEST_REASON = "popular", "newest"

_CANDIDATES_KEPT = 400
_CANDIDATES_ADDED = 1_000
"""New candidates by ratings, and as many by plays. With those that are kept and the newest, the totals of 2,800 videos are read at most."""

_NEWEST = 2 * MAX_LISTED
"""Newest videos that are looked at: on a site whose ratings and plays other tools have loaded they may be its best ones."""

_EVENTS_READ_BACK = timedelta(days=1)
_EVENTS_LATE = timedelta(minutes=2)
"""Events of the last minutes may still be on their way, so those minutes are read again; so are those whose candidates another process has
overwritten just now."""

_MINUTE = timedelta(minutes=1)


async def popular_list(repository: SuggestedVideosRepository, lists: ListRepository) -> RankedList:
    """The videos that are rated well by several people, or played often; then the newest, those that are rated badly last."""
    members, folded_until = await lists.candidates()
    minute = now().replace(second=0, microsecond=0)
    # A timestamp in the future is of an instance whose clock differs, and says nothing.
    is_known = folded_until is not None and folded_until <= minute
    first = max(folded_until, minute - _EVENTS_READ_BACK) if folded_until and is_known else minute - _EVENTS_READ_BACK
    with_events, newest = await asyncio.gather(
        repository.with_events(_minutes(first, minute), _CANDIDATES_ADDED), newest_videos(repository, _NEWEST)
    )
    candidates = members | with_events | {*newest}
    totals, plays, contents = await asyncio.gather(
        repository.totals(candidates), repository.plays(candidates), repository.contents(candidates)
    )
    scores = {}
    for video_id in contents:
        await checkpoint()
        row = totals.get(video_id)
        ratings, total = (row.ratings or 0, row.total or 0) if row else (0, 0)
        scores[video_id] = ranking.popularity(ratings, total, plays.get(video_id, 0))
    ranked = [video_id for video_id in ranking.best_first(scores) if scores[video_id] > 0]
    best = set(ranked[:_CANDIDATES_KEPT])
    read_until = max(minute - _EVENTS_LATE, first)
    if best != members or read_until != folded_until:
        await lists.keep_candidates(best, read_until)
    listed = ranked[:MAX_LISTED]
    made = RankedList(listed, {video_id: {POPULAR_REASON: True} for video_id in listed}, [], 0, len(listed))
    others = sorted((each for each in newest if each in contents), key=lambda each: scores[each] < 0)
    made = filled_up(made, ((video_id, NEWEST_REASON) for video_id in others))
    return made._replace(video_ids=await same_talks_last(made.video_ids, contents))


def _minutes(first: datetime, last: datetime) -> list[datetime]:
    return [first + number * _MINUTE for number in range(int((last - first) / _MINUTE) + 1)]
