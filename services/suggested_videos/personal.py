"""Making the list of a person: what people of like taste like, blended with what is like the videos they liked, then what is popular."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from common.time_slices import checkpoint
from services.suggested_videos import ranking
from services.suggested_videos.candidates import contents_of, of_like_content
from services.suggested_videos.histories import Histories
from services.suggested_videos.ranked_list import EMPTY, MAX_LISTED, FromRatings, RankedList, blended
from services.suggested_videos.ranking import Content, content_of
from services.suggested_videos.repository import SuggestedVideosRepository

OWN_RATINGS = 500
"""Newest ratings of the person that count."""

_LIKES = 60  # of them, newest likes whose other likers are looked for
_RATINGS_OF_LIKED = 100  # ratings read of each of those videos
_PEOPLE = 150  # people most alike whose histories are read
_SOURCES = 10  # newest likes whose growth makes a list outdated

# How much ratings weigh against content: half at so many likes (from there it rises by the square: ten likes tell more of a taste than
# the genres of what is liked), and half at so many people alike.
_HALF_WEIGHT_LIKES, _HALF_WEIGHT_PEOPLE = 2.5, 3.0
_RATINGS_ALONE = 0.95  # above this weight of ratings, the content of a taste is not looked up


class _Taste(NamedTuple):
    """What a person rated as it counts now, the weight of each rating, and the newest likes."""

    rated: dict[UUID, int]
    weights: dict[UUID, float]
    liked: list[UUID]


async def personal_list(
    repository: SuggestedVideosRepository,
    histories: Histories,
    user_id: UUID,
    popular_ids: Callable[[], Awaitable[list[UUID]]],
) -> RankedList:
    """The videos for a person, without those they rated or submitted; empty for a person without ratings."""
    taste = await _taste_of(repository, user_id)
    if not taste.rated:
        return EMPTY
    people, popular = await asyncio.gather(_people_alike(repository, user_id, taste.liked), popular_ids())
    weight = _likes_weight(len(taste.liked)) * len(people) / (len(people) + _HALF_WEIGHT_PEOPLE)
    about = await _content_of(repository, taste.weights) if weight < _RATINGS_ALONE else Content()
    heard, alike = await asyncio.gather(histories.of(people), of_like_content(repository, about, set(taste.rated)))
    own = {video_id.int: value for video_id, value in taste.weights.items()}
    prediction = await ranking.predicted(own, heard, MAX_LISTED + len(taste.liked) // 4, own.keys())
    scores = {UUID(int=number): score for number, score in prediction.scores.items()}
    sources = taste.liked[:_SOURCES]
    totals, rows = await asyncio.gather(
        repository.totals({*scores, *sources}),
        repository.contents({*scores, *alike, *popular} - taste.rated.keys()),
    )
    contents = await contents_of({video_id: row for video_id, row in rows.items() if row.user_id != user_id})
    scores = {video_id: score for video_id, score in scores.items() if video_id in totals and video_id in contents}
    made = await blended(FromRatings(ranking.scaled(scores), weight, _because(prediction)), about, contents)
    _append_popular(made, [video_id for video_id in popular if video_id in contents])
    source_ratings = sum(row.ratings or 0 for row in totals.values() if row.video_id in sources)
    return made._replace(sources=sources, source_ratings=source_ratings)


async def _taste_of(repository: SuggestedVideosRepository, user_id: UUID) -> _Taste:
    newest_first: dict[UUID, int] = {}
    for row in await repository.rated_by(user_id, OWN_RATINGS):
        newest_first.setdefault(row.video_id, row.rating or 0)
    # The log of a person's ratings is a hint; the rating in the video's partition counts, also after the ratings were emptied.
    counting = await repository.own_ratings(user_id, newest_first)
    rated = {video_id: counting[video_id] for video_id in newest_first if video_id in counting}
    liked = [video_id for video_id, rating in rated.items() if rating >= ranking.LIKED][:_LIKES]
    return _Taste(rated, ranking.taste(rated.items()), liked)


async def _people_alike(repository: SuggestedVideosRepository, user_id: UUID, liked: Sequence[UUID]) -> list[UUID]:
    """Those who like most of the same videos, most alike first."""
    shared = Counter(
        row.user_id
        for row in await repository.ratings_of(liked, _RATINGS_OF_LIKED)
        if row.user_id and row.user_id != user_id and (row.rating or 0) >= ranking.LIKED
    )
    return sorted(shared, key=lambda person: (-shared[person], person.int))[:_PEOPLE]


async def _content_of(repository: SuggestedVideosRepository, weights: Mapping[UUID, float]) -> Content:
    """What a person's newest ratings are about."""
    about = Content()
    for row in (await repository.contents(list(weights)[:_LIKES])).values():
        await checkpoint()
        about.add(content_of(row.user_id, row.name, row.tags), weights[row.video_id])
    return about


def _likes_weight(likes: int) -> float:
    """How much the likes of a person weigh against what they are about, 0 to 1."""
    return float(likes**2 / (likes**2 + _HALF_WEIGHT_LIKES**2))


def _because(prediction: ranking.Prediction) -> dict[UUID, list[tuple[str, float]]]:
    """For each predicted video the likes that led to it, with their weights, as callers are told them."""
    return {
        UUID(int=number): [(str(UUID(int=liked)), round(weight, 4)) for liked, weight in shares]
        for number, shares in prediction.because.items()
        if shares
    }


def _append_popular(made: RankedList, popular: Sequence[UUID]) -> None:
    """Fill a list up with popular videos."""
    missing = [video_id for video_id in popular if video_id not in made.reasons]
    for video_id in missing[: MAX_LISTED - len(made.video_ids)]:
        made.video_ids.append(video_id)
        made.reasons[video_id] = {"popular": True}
