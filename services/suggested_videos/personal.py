"""Making the list of a person: what people of like taste like, blended with what is like the videos they liked, then what is popular."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from common.time_slices import checkpoint
from services.suggested_videos import ranking
from services.suggested_videos.candidates import FULL, QUICK, Contents, of_like_content
from services.suggested_videos.content import Content
from services.suggested_videos.histories import Histories, Likers
from services.suggested_videos.list_repository import ListRow
from services.suggested_videos.popular import NEWEST_REASON, POPULAR_REASON
from services.suggested_videos.ranked_list import (
    MAX_LISTED,
    NO_RATINGS,
    FromRatings,
    RankedList,
    blended,
    filled_up,
    same_talks_last,
)
from services.suggested_videos.rarity import Rarities
from services.suggested_videos.repository import SuggestedVideosRepository

OWN_RATINGS = 500
"""Newest ratings of the person that count."""

_LIKES = 60  # of them, newest likes whose other likers are looked for
_RATINGS_OF_LIKED = 250  # ratings read of each of those videos
_PEOPLE, _PEOPLE_READ = (
    300,
    150,
)  # people most alike whose histories count, and those of them that are read if they are not in memory
_SOURCES = 10  # newest likes whose growth makes a list outdated

_QUICK_RATINGS, _QUICK_LIKES, _QUICK_FILLERS = 60, 15, 40
"""What a quick list is made from: newest ratings, those of them whose contents are read, and popular videos."""

# How much ratings weigh against content: half at so many likes (from there it rises by the square: ten likes tell more of a taste than
# the genres of what is liked), and half at so many people alike.
_HALF_WEIGHT_LIKES, _HALF_WEIGHT_PEOPLE = 2.5, 3.0
_RATINGS_ALONE = 0.95  # above this weight of ratings, the content of a taste is not looked up


class _Taste(NamedTuple):
    """What a person rated as it counts now, the weight of each rating, and the newest likes."""

    rated: dict[UUID, int]
    weights: dict[UUID, float]
    liked: list[UUID]


class PersonalLists:
    """Makes lists for persons, from what popular videos there are."""

    def __init__(
        self, repository: SuggestedVideosRepository, histories: Histories, likers: Likers, contents: Contents
    ) -> None:
        self._repository, self._histories, self._likers, self._contents = repository, histories, likers, contents

    async def full(self, user_id: UUID, popular: ListRow, rarities: Rarities) -> RankedList:
        """The videos for a person, without those they rated or submitted."""
        taste = await self._taste_of(user_id, OWN_RATINGS)
        people = await self._people_alike(user_id, taste)
        weight = _likes_weight(len(taste.liked)) * len(people) / (len(people) + _HALF_WEIGHT_PEOPLE)
        about = await self._content_of(taste.weights, _LIKES) if weight < _RATINGS_ALONE else Content()
        heard, alike = await asyncio.gather(
            self._histories.of(people, _PEOPLE_READ),
            of_like_content(self._repository, rarities, about, taste.rated.keys(), FULL),
        )
        own = {video_id.int: value for video_id, value in taste.weights.items()}
        prediction = await ranking.predicted(own, heard, MAX_LISTED + len(taste.liked) // 4, own.keys())
        scores = {UUID(int=number): score for number, score in prediction.scores.items()}
        sources = taste.liked[:_SOURCES]
        fillers = _fillers(popular, taste.rated)
        totals, rows = await asyncio.gather(
            self._repository.totals({*scores, *sources}),
            self._repository.contents({*scores, *alike.video_ids, *fillers} - taste.rated.keys()),
        )
        rows = {video_id: row for video_id, row in rows.items() if row.user_id != user_id}
        scores = {video_id: score for video_id, score in scores.items() if video_id in totals and video_id in rows}
        contents = await self._contents.of(
            {each: rows[each] for each in chain(scores, alike.video_ids) if each in rows}
        )
        ratings = FromRatings(ranking.scaled(scores), weight, _because(prediction))
        made = await blended(ratings, alike.comparison, contents)
        made = filled_up(made, ((video_id, reason) for video_id, reason in fillers.items() if video_id in rows))
        source_ratings = sum(row.ratings or 0 for row in totals.values() if row.video_id in sources)
        video_ids = await same_talks_last(made.video_ids, rows)
        return made._replace(video_ids=video_ids, sources=sources, source_ratings=source_ratings)

    async def quick(self, user_id: UUID, popular: ListRow, rarities: Rarities) -> RankedList:
        """A list by the contents of the newest likes alone, a tenth of the work."""
        taste = await self._taste_of(user_id, _QUICK_RATINGS)
        about = await self._content_of(taste.weights, _QUICK_LIKES)
        alike = await of_like_content(self._repository, rarities, about, taste.rated.keys(), QUICK)
        fillers = dict(list(_fillers(popular, taste.rated).items())[:_QUICK_FILLERS])
        rows = await self._repository.contents({*alike.video_ids, *fillers} - taste.rated.keys())
        rows = {video_id: row for video_id, row in rows.items() if row.user_id != user_id}
        contents = await self._contents.of(
            {video_id: rows[video_id] for video_id in alike.video_ids if video_id in rows}
        )
        made = await blended(NO_RATINGS, alike.comparison, contents)
        made = filled_up(made, ((video_id, reason) for video_id, reason in fillers.items() if video_id in rows))
        return made._replace(video_ids=await same_talks_last(made.video_ids, rows))

    async def _taste_of(self, user_id: UUID, limit: int) -> _Taste:
        newest_first: dict[UUID, int] = {}
        for row in await self._repository.rated_by(user_id, limit):
            newest_first.setdefault(row.video_id, row.rating or 0)
        # The log of a person's ratings is a hint; the rating in the video's partition counts, also after the ratings were emptied.
        counting = await self._repository.own_ratings(user_id, newest_first)
        rated = {video_id: counting[video_id] for video_id in newest_first if video_id in counting}
        liked = [video_id for video_id, rating in rated.items() if rating >= ranking.LIKED][:_LIKES]
        return _Taste(rated, ranking.taste(rated.items()), liked)

    async def _people_alike(self, user_id: UUID, taste: _Taste) -> list[UUID]:
        """Those who like most of the same videos, recent likes counting more, most alike first."""
        shared: dict[UUID, float] = defaultdict(float)
        for video_id, people in (await self._likers.of(taste.liked, _RATINGS_OF_LIKED)).items():
            await checkpoint()
            weight = taste.weights[video_id]
            for person in people:
                shared[person] += weight
        shared.pop(user_id, None)
        return sorted(shared, key=lambda person: (-shared[person], person.int))[:_PEOPLE]

    async def _content_of(self, weights: Mapping[UUID, float], limit: int) -> Content:
        """What a person's newest ratings are about."""
        about = Content()
        rows = await self._repository.contents(list(weights)[:limit])
        for video_id, content in (await self._contents.of(rows)).items():
            await checkpoint()
            about.add(content, weights[video_id])
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


def _fillers(popular: ListRow, rated: Mapping[UUID, int]) -> dict[UUID, str]:
    """What fills up a list, and why it is there: popular videos, then the newest."""
    ranked = popular.ranked or 0
    return {
        video_id: POPULAR_REASON if position < ranked else NEWEST_REASON
        for position, video_id in enumerate(popular.video_ids or ())
        if video_id not in rated
    }
