"""Keeping lists and paging through them.

A list that was made is served until it is outdated. Its pages are pages of that one list, whatever is made meanwhile. What may be shown is
decided page by page: videos that are gone, or that the person has rated since, are left out there.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from common.caches import LOCK_BYTES, CacheSize, watch
from common.metrics import suggestion_lists
from common.ring_sample import RING_START
from common.timestamps import now
from grpc_discovery import start_shielded
from services.suggested_videos.list_repository import POPULAR, QUICK, ListName, ListRepository, ListRow
from services.suggested_videos.ranked_list import RankedList
from services.suggested_videos.repository import SuggestedVideosRepository
from services.suggested_videos.rest import rest_of
from services.suggested_videos.rows import PreviewRow
from services.suggested_videos.waiting_lists import WaitingLists

RELATED, SUGGESTED = "related", "suggested"

# A short list is cheap to make, and in a small catalogue each new video may belong into it. So it is made again after a second, and as long as
# it comes out as before, after twice the time, up to ten seconds.
_SHORT, _MIN_LIFE, _MAX_SHORT_LIFE = 50, timedelta(seconds=1), timedelta(seconds=10)
_POPULAR_LIFE, _SHORT_POPULAR_LIFE = timedelta(seconds=5), timedelta(seconds=1)
_REFRESHED_AFTER = timedelta(minutes=10)
_CLOCKS_DIFFER = timedelta(seconds=5)
"""A list from later than this, by our own clock, was made by an instance whose clock differs: nobody knows how old it is."""
_REFRESH_SECONDS = 25.0
"""How long a refresh in the background may take: less than its claim lasts."""
_MAX_AT_ONCE = 2
"""Lists that callers wait for at a time. Who comes then gets one from content alone, and the better one is made in the background."""
_QUICK_LIFE = timedelta(seconds=3)
"""How long a list from content alone is shown while the better one waits to be made; then, or if it does not, a call waits for that."""
_SPARE_ROWS = 5
"""Videos read beyond what a page needs, because some may be gone."""

_log = logging.getLogger(__name__)

Make = Callable[[], Awaitable[RankedList]]
"""Makes a list now."""


class Recipe(NamedTuple):
    """How to make a list in full, and quickly from content alone (None: it is quick enough)."""

    full: Make
    quick: Make | None


class Kept(NamedTuple):
    """The newest list that is kept (None: none is), whether nothing it rests on has changed, and whether it will do while others are made."""

    row: ListRow | None
    is_current: bool
    will_do: bool


class PageRequest(NamedTuple):
    """What a caller wants: how many videos, for whom (None: for anybody), and whether with the reasons."""

    size: int
    viewer: UUID | None
    explain: bool


class ListCursor(NamedTuple):
    """Where a page begins: the list by its kind and by when it was made, and the offset in it; behind its end, after which token of the ring."""

    kind: str
    made_at: datetime
    offset: int
    after: int | None = None


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
        watch("list_locks", self._making, lambda locks: CacheSize.estimated(len(locks), LOCK_BYTES))
        self._waiting = WaitingLists()
        self._refreshing: set[asyncio.Task[None]] = set()

    async def first_page(
        self, name: ListName, fingerprint: str, kept: Kept, recipe: Recipe, request: PageRequest
    ) -> Page:
        """The first page of the list that is kept, or else of one made now: from content alone, while callers wait for many others.

        A list that was made for callers who wanted no reasons is made again for one who does.
        """
        row = kept.row
        if (
            row is not None
            and kept.is_current
            and not _expired(name, row)
            and await self._has_reasons(name, row, request)
        ):
            page, is_complete = await self._page(name, row, ListCursor(name.kind, row.made_at, 0), request)
            if is_complete:
                if age(row) > _REFRESHED_AFTER:
                    self._refresh_in_background(name, fingerprint, row, recipe.full)
                _count(name, "kept")
                return page
        is_busy = len(self._making) >= _MAX_AT_ONCE and name not in self._making
        is_young = row is not None and row.is_quick and name in self._waiting and age(row) < _QUICK_LIFE
        if recipe.quick is None or request.explain or not (is_busy or (is_young and kept.will_do)):
            shown = await self._made(name, fingerprint, recipe.full, request)
            _count(name, "made")
        else:
            self._waiting.add(name, partial(self._make, name, fingerprint, recipe.full))
            if row is None or not kept.will_do:
                row = await self.keep(name, QUICK + fingerprint, row, await recipe.quick())
            shown = row
            _count(name, "content" if row.is_quick else "kept")
        page, _ = await self._page(name, shown, ListCursor(name.kind, shown.made_at, 0), request)
        return page

    async def later_page(self, name: ListName, cursor: ListCursor, request: PageRequest) -> Page:
        """A later page: of the very list that the first one was of. Once that is gone (a day later, or an hour), of the newest."""
        kept = await self._lists.list_made_at(name, cursor.made_at) or await self._lists.newest_list(name)
        if kept is None:
            return EMPTY_PAGE
        page, _ = await self._page(name, kept, cursor, request)
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

    async def _make(self, name: ListName, fingerprint: str, make: Make) -> None:
        """Make a list for whoever asks next."""
        await self.keep(name, fingerprint, await self._lists.newest_list(name), await make())

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
        row = ListRow(made_at, checked_at, fingerprint, made.sources, made.source_ratings, made.video_ids, made.ranked)
        reasons = {str(video_id): reason for video_id, reason in made.reasons.items()} if with_reasons else None
        text = json.dumps(reasons, ensure_ascii=False, separators=(",", ":")) if reasons is not None else None
        await self._lists.save_list(name, row, text)
        return row

    async def popular(self, make: Make) -> ListRow:
        """The popular videos, best first, made again when they are some seconds old."""
        kept = await self._lists.newest_list(POPULAR)
        if kept is None or _expired(POPULAR, kept):
            kept = await self._made(POPULAR, "", make, PageRequest(0, None, explain=False))
        return kept

    async def _page(self, name: ListName, kept: ListRow, cursor: ListCursor, request: PageRequest) -> tuple[Page, bool]:
        """The page of a list that begins at a cursor, and whether all videos so far were still there. Behind the list of a person follow all
        other videos.
        """
        size, viewer, explain = request
        listed, offset = kept.video_ids or [], cursor.offset
        found: list[tuple[ListCursor, PreviewRow]] = []
        is_complete = True
        while cursor.after is None and offset < len(listed) and len(found) <= size:
            ids = listed[offset : offset + size + _SPARE_ROWS - len(found)]
            previews, own = await asyncio.gather(self._repository.previews(ids), self._own_ratings(viewer, ids))
            is_complete &= len(previews) == len(ids)
            for position, video_id in enumerate(ids, offset + 1):
                preview = previews.get(video_id)
                if preview is not None and video_id not in own and (viewer is None or preview.user_id != viewer):
                    found.append((ListCursor(name.kind, kept.made_at, position), preview))
            offset += len(ids)
        more: ListCursor | None = None
        if viewer is not None and len(found) <= size:
            start = RING_START if cursor.after is None else cursor.after
            rest = await rest_of(self._repository, viewer, set(listed), start, size + 1 - len(found))
            behind = ListCursor(name.kind, kept.made_at, len(listed))
            found += [(behind._replace(after=token), preview) for token, preview in rest.videos]
            more = behind._replace(after=rest.more_after) if rest.more_after is not None else None
        videos = [preview for _, preview in found[:size]]
        following = found[size - 1][0] if len(found) > size else more
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


def _count(name: ListName, source: Literal["made", "kept", "content"]) -> None:
    """Count a list whose first page is shown."""
    suggestion_lists("related" if name.kind == RELATED else "for_person", source).inc()


def age(kept: ListRow) -> timedelta:
    """How long ago a list was made, or made again with the same outcome."""
    return now() - (kept.checked_at or kept.made_at)


def _expired(name: ListName, kept: ListRow) -> bool:
    """Whether a list must not be shown again though nothing it is known to rest on has changed."""
    if age(kept) < -_CLOCKS_DIFFER:
        return True
    # Videos that only fill a list up make it no longer: a new one may come before them.
    is_short = (len(kept.video_ids or []) if kept.ranked is None else kept.ranked) < _SHORT
    if name == POPULAR:
        return age(kept) > (_SHORT_POPULAR_LIFE if is_short else _POPULAR_LIFE)
    unchanged_for = (kept.checked_at or kept.made_at) - kept.made_at
    return is_short and age(kept) > min(max(unchanged_for, _MIN_LIFE), _MAX_SHORT_LIFE)
