"""Keeping lists and paging through them.

A list that was made is served until it is outdated. Its pages are pages of that one list, whatever is made meanwhile. What may be shown is
decided page by page: videos that are gone, or that the person has rated since, are left out there.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from common.ids import NIL
from common.timestamps import now
from grpc_discovery import start_shielded
from services.suggested_videos.list_repository import ListName, ListRepository, ListRow
from services.suggested_videos.ranked_list import RankedList
from services.suggested_videos.repository import PreviewRow, SuggestedVideosRepository

RELATED, SUGGESTED = "related", "suggested"
POPULAR = ListName("popular", NIL)

# A short list is cheap to make, and in a small catalogue each new video may belong into it.
_SHORT, _SHORT_LIVES = 50, timedelta(seconds=1)
_POPULAR_LIVES = timedelta(seconds=2)
_REFRESHED_AFTER = timedelta(minutes=10)
_CLOCKS_DIFFER = timedelta(seconds=5)
"""A list from later than this, by our own clock, was made by an instance whose clock differs: nobody knows how old it is."""
_REFRESH_SECONDS = 25.0
"""How long a refresh in the background may take: less than its claim lasts."""
_SPARE_ROWS = 5
"""Videos read beyond what a page needs, because some may be gone."""

_log = logging.getLogger(__name__)

Make = Callable[[], Awaitable[RankedList]]
"""Makes a list now."""


class PageRequest(NamedTuple):
    """What a caller wants: how many videos, for whom (None: for anybody), and whether with the reasons."""

    size: int
    viewer: UUID | None
    explain: bool


class ListCursor(NamedTuple):
    """Where a page begins: the list by its kind and by when it was made, and the offset in it."""

    kind: str
    made_at: datetime
    offset: int


class Page(NamedTuple):
    """A page of a list: the videos, where the list goes on (None: it does not), and why each video is there."""

    videos: list[PreviewRow]
    next: ListCursor | None
    reasons: dict[str, Any]


EMPTY_PAGE = Page([], None, {})


class _Making:
    """A list that calls of this process make one after the other: the last one, and when it was kept (monotonic, in seconds)."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.made: ListRow | None = None
        self.ended = 0.0


class ListKeeper:
    """Serves pages of lists that are kept, and lets lists be made that are not."""

    def __init__(self, repository: SuggestedVideosRepository, lists: ListRepository) -> None:
        self._repository, self._lists = repository, lists
        self._owner = uuid4()
        self._making: WeakValueDictionary[ListName, _Making] = WeakValueDictionary()
        self._refreshing: set[asyncio.Task[None]] = set()

    async def first_page(
        self, name: ListName, fingerprint: str, kept: ListRow | None, make: Make, request: PageRequest
    ) -> Page:
        """The first page of the list that is kept (None: that one is outdated), or else of one made now."""
        if kept is not None and not _expired(name, kept):
            page, is_complete = await self._page(name, kept, 0, request)
            if is_complete:
                if age(kept) > _REFRESHED_AFTER:
                    self._refresh_in_background(name, fingerprint, kept, make)
                return page
        page, _ = await self._page(name, await self._made(name, fingerprint, make), 0, request)
        return page

    async def later_page(self, name: ListName, cursor: ListCursor, request: PageRequest) -> Page:
        """A later page: of the very list that the first one was of. Once that is gone (a day later), of the newest."""
        kept = await self._lists.list_made_at(name, cursor.made_at) or await self._lists.newest_list(name)
        if kept is None:
            return EMPTY_PAGE
        page, _ = await self._page(name, kept, cursor.offset, request)
        return page

    async def _made(self, name: ListName, fingerprint: str, make: Make) -> ListRow:
        """A list made now. A caller that waits for a list which another call is making takes that one."""
        started = monotonic()
        making = self._making.setdefault(name, _Making())
        async with making.turn:
            if making.made is None or making.made.fingerprint != fingerprint or making.ended < started:
                making.made = await self.keep(name, fingerprint, await self._lists.newest_list(name), await make())
                making.ended = monotonic()
            return making.made

    async def keep(self, name: ListName, fingerprint: str, before: ListRow | None, made: RankedList) -> ListRow:
        """Keep a list. One that came out as before keeps its timestamp, and with it the pages under way."""
        checked_at = now()
        if before is None:
            made_at = checked_at
        elif before.video_ids == made.video_ids:
            made_at = before.made_at
        else:
            made_at = max(checked_at, before.made_at + timedelta(milliseconds=1))
        row = ListRow(made_at, checked_at, fingerprint, made.sources, made.source_ratings, made.video_ids)
        reasons = {str(video_id): reason for video_id, reason in made.reasons.items()}
        await self._lists.save_list(name, row, json.dumps(reasons, ensure_ascii=False, separators=(",", ":")))
        return row

    async def popular_ids(self, make: Make) -> list[UUID]:
        """The popular videos, best first, made again when they are some seconds old."""
        kept = await self._lists.newest_list(POPULAR)
        if kept is None or _expired(POPULAR, kept):
            kept = await self.keep(POPULAR, "", kept, await make())
        return kept.video_ids or []

    async def _page(self, name: ListName, kept: ListRow, offset: int, request: PageRequest) -> tuple[Page, bool]:
        """The page of a list that begins at `offset`, and whether all videos so far were still there."""
        size, viewer, explain = request
        listed = kept.video_ids or []
        found: list[tuple[int, PreviewRow]] = []
        is_complete = True
        while offset < len(listed) and len(found) <= size:
            ids = listed[offset : offset + size + _SPARE_ROWS - len(found)]
            previews, own = await asyncio.gather(self._repository.previews(ids), self._own_ratings(viewer, ids))
            is_complete &= len(previews) == len(ids)
            for position, video_id in enumerate(ids, offset):
                preview = previews.get(video_id)
                if preview is not None and video_id not in own and (viewer is None or preview.user_id != viewer):
                    found.append((position, preview))
            offset += len(ids)
        videos = [preview for _, preview in found[:size]]
        following = ListCursor(name.kind, kept.made_at, found[size - 1][0] + 1) if len(found) > size else None
        reasons = json.loads(await self._lists.reasons(name, kept.made_at)) if explain and videos else {}
        return Page(videos, following, reasons), is_complete

    async def _own_ratings(self, viewer: UUID | None, video_ids: Collection[UUID]) -> Collection[UUID]:
        return await self._repository.own_ratings(viewer, video_ids) if viewer else ()

    def _refresh_in_background(self, name: ListName, fingerprint: str, kept: ListRow, make: Make) -> None:
        """Make a list again behind the caller's back: one at a time in this process, and each by one instance at a time."""
        if self._refreshing:
            return

        async def refresh() -> None:
            try:
                async with asyncio.timeout(_REFRESH_SECONDS):
                    if await self._lists.claim(name, self._owner):
                        await self.keep(name, fingerprint, kept, await make())
            except Exception as error:  # nobody waits for it; the next caller tries again
                _log.warning("the list %s of %s was not refreshed: %s", *name, error)

        task = start_shielded(refresh())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)


def age(kept: ListRow) -> timedelta:
    """How long ago a list was made, or made again with the same outcome."""
    return now() - (kept.checked_at or kept.made_at)


def _expired(name: ListName, kept: ListRow) -> bool:
    """Whether a list must not be shown again though nothing it is known to rest on has changed."""
    if age(kept) < -_CLOCKS_DIFFER:
        return True
    if name == POPULAR:
        return age(kept) > _POPULAR_LIVES
    return len(kept.video_ids or []) < _SHORT and age(kept) > _SHORT_LIVES
