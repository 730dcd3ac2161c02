"""The videos that no list holds: what a person gets who has seen their whole list, so that nothing is empty while a video is left."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from services.suggested_videos.repository import SuggestedVideosRepository
from services.suggested_videos.rows import PreviewRow, RingRow

_ROWS = 250
_ROUNDS, _ROUNDS_WITHOUT_VIDEO = 8, 60
"""Reads of so many rows for one page at most, and for one that is still empty: 15,000 rows of videos that somebody has all rated."""


class Rest(NamedTuple):
    """Videos with their tokens, and from where on there may be more (None: there are none)."""

    videos: list[tuple[int, PreviewRow]]
    more_after: int | None


async def rest_of(
    repository: SuggestedVideosRepository, viewer: UUID, listed: Collection[UUID], after: int, count: int
) -> Rest:
    """The first videos after a token that are not `listed`, and that the viewer has neither rated nor submitted: at least `count` if there are,
    unless too much would be read.
    """
    found: list[tuple[int, PreviewRow]] = []
    for done in range(_ROUNDS_WITHOUT_VIDEO):
        if len(found) >= count or (found and done >= _ROUNDS):
            break
        rows = await repository.on_ring(after, _ROWS)
        others = [row for row in rows if _is_video(row) and row.user_id != viewer and row.video_id not in listed]
        own = await repository.own_ratings(viewer, [row.video_id for row in others]) if others else {}
        found += [
            (row.token, PreviewRow(row.video_id, row.user_id, row.added_date, row.name, row.preview_image_location))
            for row in others
            if row.video_id not in own
        ]
        if len(rows) < _ROWS:
            return Rest(found, None)
        after = rows[-1].token
    return Rest(found, after)


def _is_video(row: RingRow) -> bool:
    return row.added_date is not None and row.name is not None
