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

from common.timestamps import now
from grpc_discovery import start_shielded
from services.suggested_videos.list_repository import POPULAR, ListName, ListRepository, ListRow
from services.suggested_videos.ranked_list import RankedList
from services.suggested_videos.repository import PreviewRow, SuggestedVideosRepository

RELATED, SUGGESTED = "related", "suggested"

# A short list is cheap to make, and in a small catalogue each new video may belong into it. So it is made again after a second, and as long as
# it comes out as before, after twice the time, up to ten seconds.
_SHORT, _MIN_LIFE, _MAX_SHORT_LIFE = 50, timedelta(seconds=1), timedelta(seconds=10)
_POPULAR_LIFE, _SHORT_POPULAR_LIFE = timedelta(seconds=5), timedelta(seconds=2)
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
        """The first page of the list that is kept (None: that one is outdated), or else of one made now.

        A list that was made for callers who wanted no reasons is made again for one who does.
        """
        if kept is not None and not _expired(name, kept) and await self._has_reasons(name, kept, request):
            page, is_complete = await self._page(name, kept, 0, request)
            if is_complete:
                if age(kept) > _REFRESHED_AFTER:
                    self._refresh_in_background(name, fingerprint, kept, make)
                return page
        page, _ = await self._page(name, await self._made(name, fingerprint, make, request), 0, request)
        return page

    async def later_page(self, name: ListName, cursor: ListCursor, request: PageRequest) -> Page:
        """A later page: of the very list that the first one was of. Once that is gone (a day later, or an hour), of the newest."""
        kept = await self._lists.list_made_at(name, cursor.made_at) or await self._lists.newest_list(name)
        if kept is None:
            return EMPTY_PAGE
        page, _ = await self._page(name, kept, cursor.offset, request)
        return page

    async def _made(self, name: ListName, fingerprint: str, make: Make, request: PageRequest) -> ListRow:
        """A list made now. A caller that waits for a list which another call is making takes that one."""
        started = monotonic()
        making = self._making.setdefault(name, _Making())
        async with making.turn:
            made = making.made if making.ended >= started else None
            if made is None or made.fingerprint != fingerprint or not await self._has_reasons(name, made, request):
                before = await self._lists.newest_list(name)
                making.made = made = await self.keep(
                    name, fingerprint, before, await make(), with_reasons=request.explain
                )
                making.ended = monotonic()
            return made

    async def keep(
        self, name: ListName, fingerprint: str, before: ListRow | None, made: RankedList, *, with_reasons: bool = False
    ) -> ListRow:
        """Keep a list. One that came out as before keeps its timestamp, and with it the pages under way."""
        checked_at = now()
        if before is None:
            made_at = checked_at
        elif before.video_ids == made.video_ids:
            made_at = before.made_at
        else:
            made_at = max(checked_at, before.made_at + timedelta(milliseconds=1))
        row = ListRow(made_at, checked_at, fingerprint, made.sources, made.source_ratings, made.video_ids)
        reasons = {str(video_id): reason for video_id, reason in made.reasons.items()} if with_reasons else None
        text = json.dumps(reasons, ensure_ascii=False, separators=(",", ":")) if reasons is not None else None
        await self._lists.save_list(name, row, text)
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
        reasons = json.loads(await self._lists.reasons(name, kept.made_at) or "{}") if explain and videos else {}
        return Page(videos, following, reasons), is_complete

    async def _has_reasons(self, name: ListName, kept: ListRow, request: PageRequest) -> bool:
        """Whether a list has the reasons that a caller asks for, if they do."""
        return not request.explain or await self._lists.reasons(name, kept.made_at) is not None

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
    is_short = len(kept.video_ids or []) < _SHORT
    if name == POPULAR:
        return age(kept) > (_SHORT_POPULAR_LIFE if is_short else _POPULAR_LIFE)
    unchanged_for = (kept.checked_at or kept.made_at) - kept.made_at
    return is_short and age(kept) > min(max(unchanged_for, _MIN_LIFE), _MAX_SHORT_LIFE)
