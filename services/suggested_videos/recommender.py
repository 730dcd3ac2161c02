"""How a list comes about: which list is asked for, whether the one that is kept is up to date, and if not, how it is made.

A list is computed from bounded samples when it is asked for, kept in Cassandra, and served from there until what it rests on has changed.
"""

import asyncio
from collections.abc import Collection
from hashlib import blake2b
from uuid import UUID

from services.suggested_videos.candidates import Contents
from services.suggested_videos.histories import Histories, Likers
from services.suggested_videos.list_keeper import (
    EMPTY_PAGE,
    RELATED,
    SUGGESTED,
    Kept,
    ListCursor,
    ListKeeper,
    Page,
    PageRequest,
    Recipe,
)
from services.suggested_videos.list_repository import POPULAR, QUICK, ListName, ListRepository, ListRow
from services.suggested_videos.personal import PersonalLists
from services.suggested_videos.popular import popular_list
from services.suggested_videos.ranked_list import RankedList
from services.suggested_videos.rarity import rarity_sample
from services.suggested_videos.related import RelatedLists
from services.suggested_videos.repository import SuggestedVideosRepository
from services.suggested_videos.rows import DescribedRow

# A list is outdated when its sources have a quarter more or fewer ratings, and two.
_GROWTH, _GROWTH_RATINGS = 1.25, 2


class Recommender:
    """Answers which videos to show."""

    def __init__(self, repository: SuggestedVideosRepository, lists: ListRepository) -> None:
        self._repository, self._lists = repository, lists
        self._keeper = ListKeeper(repository, lists)
        self._rarity = rarity_sample(repository)
        histories, contents = Histories(repository), Contents()
        self._personal_lists = PersonalLists(repository, histories, Likers(repository), contents)
        self._related_lists = RelatedLists(repository, histories, contents)

    async def related(self, video_id: UUID, cursor: ListCursor | None, request: PageRequest) -> Page:
        """A page of the videos like `video_id`, from the beginning or from a cursor of an earlier page; empty for an unknown video."""
        name = ListName(RELATED, video_id)
        if cursor:
            return await self._keeper.later_page(name, cursor, request)
        videos, totals, row = await asyncio.gather(
            self._repository.described([video_id]),
            self._repository.totals([video_id]),
            self._lists.newest_list(name),
        )
        video = videos.get(video_id)
        if video is None:
            return EMPTY_PAGE
        ratings = totals[video_id].ratings or 0 if video_id in totals else 0
        fingerprint = _fingerprint(video)
        is_current = row is not None and row.fingerprint == fingerprint and not _outgrown(row, ratings)
        # Of other content it is the list of another video.
        will_do = row is not None and row.fingerprint in (fingerprint, QUICK + fingerprint)
        recipe = self._related_recipe(video, ratings)
        return await self._keeper.first_page(name, fingerprint, Kept(row, is_current, will_do), recipe, request)

    async def suggested(self, user_id: UUID, cursor: ListCursor | None, request: PageRequest) -> Page:
        """A page of videos for a person, or of popular ones for a person of whom nothing is known. Never empty while there is a video for them."""
        name = ListName(SUGGESTED, user_id)
        if cursor:
            return await self._keeper.later_page(name if cursor.kind == SUGGESTED else POPULAR, cursor, request)
        newest, row = await asyncio.gather(self._repository.newest_rating(user_id), self._lists.newest_list(name))
        if newest is None:
            popular = Kept(await self._lists.newest_list(POPULAR), is_current=True, will_do=True)
            return await self._keeper.first_page(POPULAR, "", popular, Recipe(self._popular, None), request)
        fingerprint = newest.isoformat()
        is_current = (
            row is not None
            and row.fingerprint == fingerprint
            and not _outgrown(row, await self._ratings_of(row.sources or []))
        )
        kept = Kept(row, is_current, will_do=row is not None)
        return await self._keeper.first_page(name, fingerprint, kept, self._personal_recipe(user_id), request)

    async def refresh(self, name: ListName) -> int:
        """Make a list now and keep it; returns how many videos it holds. For those who want lists made before they are asked for."""
        if name.kind == SUGGESTED:
            newest = await self._repository.newest_rating(name.of)
            if newest is None:
                return 0
            fingerprint, recipe = newest.isoformat(), self._personal_recipe(name.of)
        else:
            video = (await self._repository.described([name.of])).get(name.of)
            if video is None:
                return 0
            fingerprint, recipe = _fingerprint(video), self._related_recipe(video, await self._ratings_of([name.of]))
        before = await self._lists.newest_list(name)
        return len((await self._keeper.keep(name, fingerprint, before, await recipe.full())).video_ids or [])

    def _personal_recipe(self, user_id: UUID) -> Recipe:
        async def full() -> RankedList:
            return await self._personal_lists.full(user_id, await self._keeper.popular(self._popular), await rarities())

        async def quick() -> RankedList:
            return await self._personal_lists.quick(
                user_id, await self._keeper.popular(self._popular), await rarities()
            )

        rarities = self._rarity.latest
        return Recipe(full, quick)

    def _related_recipe(self, video: DescribedRow, ratings: int) -> Recipe:
        async def full() -> RankedList:
            return await self._related_lists.full(video, ratings, await self._rarity.latest())

        async def quick() -> RankedList:
            return await self._related_lists.quick(video, ratings, await self._rarity.latest())

        return Recipe(full, quick)

    async def _popular(self) -> RankedList:
        return await popular_list(self._repository, self._lists)

    async def _ratings_of(self, video_ids: Collection[UUID]) -> int:
        """How many ratings some videos have together."""
        return sum(row.ratings or 0 for row in (await self._repository.totals(video_ids)).values()) if video_ids else 0


def _fingerprint(video: DescribedRow) -> str:
    """Changes when a video gets another name, other tags or another description, also under the same id."""
    text = repr((video.user_id, video.name, sorted(video.tags or ()), video.description))
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _outgrown(kept: ListRow, ratings: int) -> bool:
    """Whether the sources of a list have so many more, or fewer, ratings that it is outdated."""
    before = kept.source_ratings or 0
    return ratings > before * _GROWTH + _GROWTH_RATINGS or ratings < before / _GROWTH - _GROWTH_RATINGS
