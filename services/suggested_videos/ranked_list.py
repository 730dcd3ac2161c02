"""A list as it comes out of making it: videos, best first, with the reasons; and how ratings and content are blended into one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from common.time_slices import checkpoint
from services.suggested_videos import ranking
from services.suggested_videos.content import Comparison, Content, title_of
from services.suggested_videos.rows import ContentRow

MAX_LISTED = 200
"""Videos that a list holds."""

Reasons = dict[UUID, dict[str, Any]]
"""Why each video is in a list, as callers are told it."""


class RankedList(NamedTuple):
    """A list, and what it was made from: the videos whose ratings it rests on, and how many ratings these had.

    `ranked` of its videos are in it by ratings, plays or content; the others fill it up.
    """

    video_ids: list[UUID]
    reasons: Reasons
    sources: list[UUID]
    source_ratings: int
    ranked: int = 0


class FromRatings(NamedTuple):
    """What ratings say: a score for each video (the best has 1), the weight of these scores (0 to 1), and the likes that led to each video."""

    scores: dict[UUID, float]
    weight: float
    because: dict[UUID, list[tuple[str, float]]]


NO_RATINGS = FromRatings({}, 0.0, {})


async def blended(ratings: FromRatings, comparison: Comparison, contents: Mapping[UUID, Content]) -> RankedList:
    """The videos of `contents` in one list: by what ratings say and, with the rest of the weight, by how alike their contents are."""
    by_ratings, by_content, scores = {}, {}, {}
    for video_id, content in contents.items():
        await checkpoint()
        by_ratings[video_id] = ratings.weight * ratings.scores.get(video_id, 0.0)
        by_content[video_id] = (1 - ratings.weight) * comparison.score(content)
        if (score := by_ratings[video_id] + by_content[video_id]) > 0:
            scores[video_id] = score
    video_ids = ranking.best_first(scores)[:MAX_LISTED]
    reasons: Reasons = {}
    for video_id in video_ids:
        await checkpoint()
        shared = comparison.shared(contents[video_id])
        reasons[video_id] = {"ratings": round(by_ratings[video_id], 4), "content": round(by_content[video_id], 4)}
        details = {
            "because": ratings.because.get(video_id),
            "tags": shared.tags,
            "words": shared.words,
            "author": shared.author,
            "series": shared.series,
        }
        reasons[video_id] |= {name: value for name, value in details.items() if value}
    return RankedList(video_ids, reasons, [], 0, len(video_ids))


def filled_up(made: RankedList, fillers: Iterable[tuple[UUID, str]]) -> RankedList:
    """A list with other videos behind those it has, each with the reason why it is there, up to the length of a list."""
    video_ids, reasons = list(made.video_ids), dict(made.reasons)
    for video_id, reason in fillers:
        if len(video_ids) >= MAX_LISTED:
            break
        if video_id not in reasons:
            video_ids.append(video_id)
            reasons[video_id] = {reason: True}
    return made._replace(video_ids=video_ids, reasons=reasons)


async def same_talks_last(video_ids: Sequence[UUID], rows: Mapping[UUID, ContentRow]) -> list[UUID]:
    """Of several videos with the same title by the same author, the newest keeps its rank; the others follow after all the rest."""
    newest: dict[tuple[Any, ...], UUID] = {}
    talks: dict[UUID, tuple[Any, ...]] = {}
    for video_id in video_ids:
        await checkpoint()
        row = rows.get(video_id)
        if row is not None and (title := title_of(row.name)):
            talk = talks[video_id] = (row.user_id, title)
            newest[talk] = max(newest.get(talk, video_id), video_id, key=lambda each: _age_key(rows[each]))
    repeated = {video_id for video_id, talk in talks.items() if newest[talk] != video_id}
    return [each for each in video_ids if each not in repeated] + [each for each in video_ids if each in repeated]


def _age_key(row: ContentRow) -> tuple[datetime, int]:
    """Sorts videos by when they were added, those of the same millisecond by id."""
    return row.added_date or datetime.min, row.video_id.int
