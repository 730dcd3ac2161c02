"""While many lists wait, a first list comes at once from content alone, and the better one when it is made."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

import pytest

from common.metrics import suggestion_lists
from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceStub, add_SuggestedVideoServiceServicer_to_server
from services.suggested_videos.list_repository import ListName, ListRow
from services.suggested_videos.rows import RatingRow
from services.suggested_videos.waiting_lists import WaitingLists
from tests.services.serving import serving
from tests.services.suggestion_tables import SuggestionsInDicts
from tests.services.test_suggested_videos import fans, new_servicer, related, suggested, videos

if TYPE_CHECKING:
    from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceAsyncStub

LISTS: tuple[Literal["related", "for_person"], ...] = ("related", "for_person")
SOURCES: tuple[Literal["made", "kept", "content"], ...] = ("made", "kept", "content")
AT_ONCE = 2
Call = asyncio.Task[tuple[list[UUID], str]]
SECONDS = 10


class SlowRatings(SuggestionsInDicts):
    """Reads of other people's ratings wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.many_wait, self.all_made = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._reading = 0

    async def ratings_of(self, video_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        self._reading += not self.open.is_set()
        if self._reading == AT_ONCE:
            self.many_wait.set()
        await self.open.wait()
        return await super().ratings_of(video_ids, limit)

    async def save_list(self, name: ListName, made: ListRow, reasons: str | None) -> None:
        await super().save_list(name, made, reasons)
        if not self.quick_lists():
            self.all_made.set()

    def quick_lists(self) -> list[ListName]:
        return [name for name, kept in self.lists.items() if kept and kept[max(kept)][0].is_quick]


@pytest.fixture
def tables() -> SlowRatings:
    return SlowRatings()


@pytest.fixture
async def stub(tables: SlowRatings) -> AsyncIterator["SuggestedVideoServiceAsyncStub"]:
    async with serving(new_servicer(tables), add_SuggestedVideoServiceServicer_to_server) as channel:
        yield SuggestedVideoServiceStub(channel)


async def busy(stub: "SuggestedVideoServiceAsyncStub", tables: SlowRatings) -> list[Call]:
    """Calls for as many lists as are made at once, none of which ends before the ratings are let through."""
    ids = videos(tables, AT_ONCE, "busy", author=uuid4())
    calls = [asyncio.create_task(related(stub, video_id)) for video_id in ids]
    async with asyncio.timeout(SECONDS):
        await tables.many_wait.wait()
    return calls


async def let_through(tables: SlowRatings, calls: list[Call]) -> None:
    """Let all ratings be read, and wait until every list is made from them."""
    tables.all_made.clear()
    tables.open.set()
    await asyncio.gather(*calls)
    if tables.quick_lists():
        await tables.all_made.wait()


async def test_a_related_list_comes_from_content_at_once_and_the_better_one_is_made_behind(
    stub: "SuggestedVideoServiceAsyncStub", tables: SlowRatings
) -> None:
    calls = await busy(stub, tables)
    jazz, loved = videos(tables, 25, "jazz"), videos(tables, 1, "rock", author=uuid4())[0]
    fans(tables, 30, [jazz[0], loved], [])
    async with asyncio.timeout(SECONDS):
        first, token = await related(stub, jazz[0], 20)
        assert {*first} < {*jazz}
        assert tables.quick_lists() == [ListName("related", jazz[0])]
        await let_through(tables, calls)
        rest, _ = await related(stub, jazz[0], 100, token)
        assert sorted(first + rest[:4]) == jazz[1:]  # the pages are of the list that the first was of
        assert (await related(stub, jazz[0]))[0][0] == loved


async def test_a_person_gets_a_list_from_content_and_popular_videos_at_once_and_the_better_one_later(
    stub: "SuggestedVideoServiceAsyncStub", tables: SlowRatings
) -> None:
    jazz, popular, loved = videos(tables, 20, "jazz"), videos(tables, 1)[0], videos(tables, 1)[0]
    user_id = uuid4()
    for video_id in jazz[:8]:
        tables.rate(user_id, video_id, 5)
    fans(tables, 9, [*jazz[:8], loved], [])
    fans(tables, 50, [popular], [])
    calls = await busy(stub, tables)
    async with asyncio.timeout(SECONDS):
        first, _ = await suggested(stub, user_id)
        assert {*first[:12]} == {*jazz[8:]}
        assert popular in first
        await let_through(tables, calls)
        assert (await suggested(stub, user_id))[0][0] == loved


async def test_a_list_from_content_that_another_process_left_is_made_in_full_by_the_next_call(
    stub: "SuggestedVideoServiceAsyncStub", tables: SlowRatings
) -> None:
    calls = await busy(stub, tables)
    jazz, loved = videos(tables, 25, "jazz"), videos(tables, 1, "rock", author=uuid4())[0]
    fans(tables, 30, [jazz[0], loved], [])
    assert loved not in (await related(stub, jazz[0]))[0]
    left = dict(tables.lists[ListName("related", jazz[0])])
    async with asyncio.timeout(SECONDS):
        await let_through(tables, calls)
    tables.lists[ListName("related", jazz[0])] = left  # as if this process had died before
    async with serving(new_servicer(tables), add_SuggestedVideoServiceServicer_to_server) as channel:
        assert (await related(SuggestedVideoServiceStub(channel), jazz[0]))[0][0] == loved


async def test_an_outdated_list_is_shown_while_many_wait_unless_it_is_of_other_content(
    stub: "SuggestedVideoServiceAsyncStub", tables: SlowRatings
) -> None:
    jazz, rock = videos(tables, 70, "jazz"), videos(tables, 70, "rock")
    tables.open.set()
    before = [(await related(stub, video_id))[0] for video_id in jazz[:2]]
    tables.open.clear()
    calls = await busy(stub, tables)
    fans(tables, 30, [jazz[0], rock[0]], [])
    tables.add_video(jazz[1], uuid4(), "other", {"rock"})
    async with asyncio.timeout(SECONDS):
        assert (await related(stub, jazz[0]))[0] == before[0]
        assert {*(await related(stub, jazz[1]))[0]} <= {*rock}
    tables.open.set()
    await asyncio.gather(*calls)


async def test_lists_that_are_shown_are_counted_by_where_they_came_from(
    stub: "SuggestedVideoServiceAsyncStub", tables: SlowRatings
) -> None:
    def counted() -> Counter[tuple[str, str]]:
        return Counter({key: int(suggestion_lists(*key)._value.get()) for key in product(LISTS, SOURCES)})

    jazz, user_id = videos(tables, 70, "jazz"), uuid4()
    fans(tables, 3, jazz, [])
    tables.open.set()
    before = counted()
    async with asyncio.timeout(SECONDS):
        for _ in range(3):
            await related(stub, jazz[0])  # made, and kept from then on
        await suggested(stub, user_id)  # who rated nothing, so the popular one
        assert counted() - before == {("related", "made"): 1, ("related", "kept"): 2, ("for_person", "made"): 1}
        tables.rate(user_id, jazz[0], 5)
        tables.open.clear()
        calls, before = await busy(stub, tables), counted()
        await related(stub, jazz[1])
        await suggested(stub, user_id)
        _, token = await related(stub, jazz[0], 5)
        await related(stub, jazz[0], 5, token)  # a later page
        assert counted() - before == {("related", "content"): 1, ("for_person", "content"): 1, ("related", "kept"): 1}
        await let_through(tables, calls)
    assert counted() - before == {
        ("related", "content"): 1,
        ("for_person", "content"): 1,
        ("related", "kept"): 1,
        ("related", "made"): AT_ONCE,
    }


async def test_so_many_lists_wait_and_one_that_fails_does_not_stop_the_others() -> None:
    waiting, made, ended = WaitingLists(), [], asyncio.Event()
    names = [ListName("related", uuid4()) for _ in range(2_000)]

    async def make(name: ListName) -> None:
        if name == names[0]:
            raise RuntimeError("gone")
        made.append(name)
        if len(waiting) == 0:
            ended.set()

    for name in names:
        for _ in range(2):
            waiting.add(name, partial(make, name))
    assert (names[0] in waiting, names[-1] in waiting) == (True, False)
    async with asyncio.timeout(SECONDS):
        await ended.wait()
    assert made == names[1:200]
