"""A list as it comes out of making it: videos, best first, with the reasons; and how ratings and content are blended into one."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from common.time_slices import checkpoint
from services.suggested_videos import ranking
from services.suggested_videos.ranking import Content, Likeness

MAX_LISTED = 200
"""Videos that a list holds."""

Reasons = dict[UUID, dict[str, Any]]
"""Why each video is in a list, as callers are told it."""


class RankedList(NamedTuple):
    """A list, and what it was made from: the videos whose ratings it rests on, and how many ratings these had."""

    video_ids: list[UUID]
    reasons: Reasons
    sources: list[UUID]
    source_ratings: int


EMPTY = RankedList([], {}, [], 0)


class FromRatings(NamedTuple):
    """What ratings say: a score for each video (the best has 1), the weight of these scores (0 to 1), and the likes that led to each video."""

    scores: dict[UUID, float]
    weight: float
    because: dict[UUID, list[tuple[str, float]]]


async def blended(ratings: FromRatings, about: Content, contents: Mapping[UUID, Content]) -> RankedList:
    """The videos of `contents` in one list: by what ratings say and, with the rest of the weight, by the likeness of their content to `about`."""
    likenesses: dict[UUID, Likeness] = {}
    for video_id, content in contents.items():
        await checkpoint()
        likenesses[video_id] = ranking.likeness(about, content)
    by_ratings = {video_id: ratings.weight * ratings.scores.get(video_id, 0.0) for video_id in contents}
    by_content = {video_id: (1 - ratings.weight) * likeness.score for video_id, likeness in likenesses.items()}
    scores = {video_id: score for video_id in contents if (score := by_ratings[video_id] + by_content[video_id]) > 0}
    video_ids = ranking.best_first(scores)[:MAX_LISTED]
    reasons: Reasons = {}
    for video_id in video_ids:
        likeness = likenesses[video_id]
        reasons[video_id] = {"ratings": round(by_ratings[video_id], 4), "content": round(by_content[video_id], 4)}
        details = {
            "because": ratings.because.get(video_id),
            "tags": likeness.tags,
            "words": likeness.words,
            "author": likeness.author,
        }
        reasons[video_id] |= {name: value for name, value in details.items() if value}
    return RankedList(video_ids, reasons, [], 0)
