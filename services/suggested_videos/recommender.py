"""How a list comes about: which list is asked for, whether the one that is kept is up to date, and if not, how it is made.

A list is computed from bounded samples when it is asked for, kept in Cassandra, and served from there until what it rests on has changed.
"""

import asyncio
from collections.abc import Collection
from hashlib import blake2b
from uuid import UUID

from services.suggested_videos.histories import Histories
from services.suggested_videos.list_keeper import (
    EMPTY_PAGE,
    RELATED,
    SUGGESTED,
    ListCursor,
    ListKeeper,
    Page,
    PageRequest,
)
from services.suggested_videos.list_repository import POPULAR, ListName, ListRepository, ListRow
from services.suggested_videos.personal import personal_list
from services.suggested_videos.popular import popular_list
from services.suggested_videos.ranked_list import RankedList
from services.suggested_videos.related import related_list
from services.suggested_videos.repository import DescribedRow, SuggestedVideosRepository

# A list is outdated when its sources have a quarter more or fewer ratings, and two.
_GROWTH, _GROWTH_RATINGS = 1.25, 2


class Recommender:
    """Answers which videos to show."""

    def __init__(self, repository: SuggestedVideosRepository, lists: ListRepository) -> None:
        self._repository, self._lists = repository, lists
        self._keeper = ListKeeper(repository, lists)
        self._histories = Histories(repository)

    async def related(self, video_id: UUID, cursor: ListCursor | None, request: PageRequest) -> Page:
        """A page of the videos like `video_id`, from the beginning or from a cursor of an earlier page; empty for an unknown video."""
        name = ListName(RELATED, video_id)
        if cursor:
            return await self._keeper.later_page(name, cursor, request)
        videos, totals, kept = await asyncio.gather(
            self._repository.described([video_id]),
            self._repository.totals([video_id]),
            self._lists.newest_list(name),
        )
        video = videos.get(video_id)
        if video is None:
            return EMPTY_PAGE
        ratings = totals[video_id].ratings or 0 if video_id in totals else 0
        fingerprint = _fingerprint(video)

        async def make() -> RankedList:
            return await related_list(self._repository, self._histories, video, ratings)

        is_current = kept is not None and kept.fingerprint == fingerprint and not _outgrown(kept, ratings)
        return await self._keeper.first_page(name, fingerprint, kept if is_current else None, make, request)

    async def suggested(self, user_id: UUID, cursor: ListCursor | None, request: PageRequest) -> Page:
        """A page of videos for a person, or of popular ones for a person of whom nothing is known."""
        name = ListName(SUGGESTED, user_id)
        if cursor:
            return await self._keeper.later_page(name if cursor.kind == SUGGESTED else POPULAR, cursor, request)
        newest, kept = await asyncio.gather(self._repository.newest_rating(user_id), self._lists.newest_list(name))
        if newest is not None:
            fingerprint = newest.isoformat()

            async def make() -> RankedList:
                return await self._personal(user_id)

            is_current = (
                kept is not None
                and kept.fingerprint == fingerprint
                and not _outgrown(kept, await self._ratings_of(kept.sources or []))
            )
            page = await self._keeper.first_page(name, fingerprint, kept if is_current else None, make, request)
            if page.videos:
                return page
        popular = await self._lists.newest_list(POPULAR)
        return await self._keeper.first_page(POPULAR, "", popular, self._popular, request)

    async def refresh(self, name: ListName) -> int:
        """Make a list now and keep it; returns how many videos it holds. For those who want lists made before they are asked for."""
        if name.kind == SUGGESTED:
            newest = await self._repository.newest_rating(name.of)
            if newest is None:
                return 0
            fingerprint, made = newest.isoformat(), await self._personal(name.of)
        else:
            video = (await self._repository.described([name.of])).get(name.of)
            if video is None:
                return 0
            ratings = await self._ratings_of([name.of])
            fingerprint = _fingerprint(video)
            made = await related_list(self._repository, self._histories, video, ratings)
        before = await self._lists.newest_list(name)
        return len((await self._keeper.keep(name, fingerprint, before, made)).video_ids or [])

    async def _personal(self, user_id: UUID) -> RankedList:
        return await personal_list(self._repository, self._histories, user_id, self._popular_ids)

    async def _popular_ids(self) -> list[UUID]:
        return await self._keeper.popular_ids(self._popular)

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
