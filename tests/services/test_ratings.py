"""RatingsService over the wire, on ratings kept in a dict; and how ratings of one video are written together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from grpc import aio
from prometheus_client import REGISTRY

from common.errors import Unavailable
from grpc_discovery import DeadlineExceeded
from grpc_discovery.serving.deadlines import set_time_left
from protos import ratings_pb2 as messages
from protos.common_pb2 import Uuid
from protos.ratings_pb2_grpc import RatingsServiceStub, add_RatingsServiceServicer_to_server
from services.ratings.coalescing import MAX_IN_ONE_WRITE, Coalescing, OutcomeUnknown
from services.ratings.repository import Totals
from services.ratings.servicer import RatingsServicer
from tests.services.serving import bad_fields, serving

if TYPE_CHECKING:
    from protos.ratings_pb2_grpc import RatingsServiceAsyncStub


class RatingsInADict:
    """What Tally and its repository do, in memory."""

    def __init__(self) -> None:
        self.by_user: dict[tuple[UUID, UUID], int] = {}
        self.ratings = self

    async def rate(self, video_id: UUID, user_id: UUID, rating: int) -> None:
        self.by_user[video_id, user_id] = rating

    async def totals(self, video_id: UUID) -> Totals:
        of_video = [rating for (video, _), rating in self.by_user.items() if video == video_id]
        return Totals(len(of_video), sum(of_video))

    async def rating_by(self, video_id: UUID, user_id: UUID) -> int:
        return self.by_user.get((video_id, user_id), 0)


@pytest.fixture
async def stub() -> AsyncIterator["RatingsServiceAsyncStub"]:
    servicer = RatingsServicer(RatingsInADict())  # type: ignore[arg-type]  # a fake
    async with serving(servicer, add_RatingsServiceServicer_to_server) as channel:
        yield RatingsServiceStub(channel)


def new_id() -> Uuid:
    return Uuid(value=str(uuid4()))


async def test_rating_again_replaces(stub: "RatingsServiceAsyncStub") -> None:
    video, user = new_id(), new_id()
    for rating in (1, 5, 2):
        await stub.RateVideo(messages.RateVideoRequest(video_id=video, user_id=user, rating=rating))
    totals = await stub.GetRating(messages.GetRatingRequest(video_id=video))
    assert (totals.ratings_count, totals.ratings_total) == (1, 2)


async def test_what_nobody_rated_has_0(stub: "RatingsServiceAsyncStub") -> None:
    totals = await stub.GetRating(messages.GetRatingRequest(video_id=new_id()))
    own = await stub.GetUserRating(messages.GetUserRatingRequest(video_id=new_id(), user_id=new_id()))
    assert (totals.ratings_count, totals.ratings_total, own.rating) == (0, 0, 0)


async def test_ids_are_echoed_as_they_were_sent(stub: "RatingsServiceAsyncStub") -> None:
    video, user = Uuid(value=str(uuid4()).upper()), Uuid(value=str(uuid4()).upper())
    totals = await stub.GetRating(messages.GetRatingRequest(video_id=video))
    own = await stub.GetUserRating(messages.GetUserRatingRequest(video_id=video, user_id=user))
    assert (totals.video_id, own.video_id, own.user_id) == (video, video, user)


@pytest.mark.parametrize("rating", [-1, 0, 6, 2**31 - 1])
async def test_a_rating_is_1_to_5_and_every_bad_field_is_named(stub: "RatingsServiceAsyncStub", rating: int) -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.RateVideo(messages.RateVideoRequest(video_id=Uuid(value="nope"), rating=rating))
    assert bad_fields(raised.value) == {"video_id", "user_id", "rating"}


class Writes:
    """Attempts that a test lets go on one by one, or answers at once with `outcomes`."""

    def __init__(self, *outcomes: bool | Exception) -> None:
        self.outcomes = list(outcomes)
        self.made: list[dict[UUID, int]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, video_id: UUID, ratings: Mapping[UUID, int]) -> bool:
        self.made.append(dict(ratings))
        self.begun.set()
        await self.go_on.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_ratings_that_wait_for_one_write_share_the_next() -> None:
    writes, video = Writes(), uuid4()
    coalescing = Coalescing(writes)
    tasks = [asyncio.create_task(coalescing.write(video, uuid4(), 3))]
    await writes.begun.wait()
    tasks += [asyncio.create_task(coalescing.write(video, uuid4(), 3)) for _ in range(MAX_IN_ONE_WRITE + 1)]
    await asyncio.sleep(0)
    writes.go_on.set()
    await asyncio.gather(*tasks)
    assert [len(made) for made in writes.made] == [1, MAX_IN_ONE_WRITE, 1]


async def test_writes_that_were_applied_are_counted_and_the_ratings_that_shared_them() -> None:
    def counted() -> tuple[float, float]:
        names = ("killrvideo_rating_batches_total", "killrvideo_ratings_coalesced_total")
        batches, coalesced = (REGISTRY.get_sample_value(name) or 0.0 for name in names)
        return batches, coalesced

    writes, video, before = Writes(True, False, OutcomeUnknown("?"), True, Unavailable("away")), uuid4(), counted()
    coalescing = Coalescing(writes)
    tasks = [asyncio.create_task(coalescing.write(video, uuid4(), 3))]
    await writes.begun.wait()
    tasks += [asyncio.create_task(coalescing.write(video, uuid4(), 3)) for _ in range(5)]
    await asyncio.sleep(0)
    writes.go_on.set()
    await asyncio.gather(*tasks)
    with pytest.raises(Unavailable):
        await coalescing.write(video, uuid4(), 3)
    assert counted() == (before[0] + 2, before[1] + 4)


async def test_of_two_ratings_by_one_user_in_one_write_the_later_wins() -> None:
    writes, video, user = Writes(), uuid4(), uuid4()
    coalescing = Coalescing(writes)
    tasks = [asyncio.create_task(coalescing.write(video, user, rating)) for rating in (1, 2, 5)]
    writes.go_on.set()
    await asyncio.gather(*tasks)
    assert writes.made == [{user: 5}]


async def test_a_write_that_lost_or_whose_outcome_is_unknown_is_made_again() -> None:
    writes, user = Writes(False, OutcomeUnknown("?"), False), uuid4()
    writes.go_on.set()
    await Coalescing(writes).write(uuid4(), user, 4)
    assert writes.made == [{user: 4}] * 4


async def test_a_database_that_is_away_fails_all_that_wait_at_once() -> None:
    writes, video = Writes(Unavailable("away")), uuid4()
    coalescing = Coalescing(writes)
    tasks = [asyncio.create_task(coalescing.write(video, uuid4(), 3)) for _ in range(3)]
    writes.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    await coalescing.write(video, uuid4(), 3)  # and the next call begins anew


async def test_a_caller_whose_deadline_passes_while_waiting_is_not_written() -> None:
    writes, video, in_time, late = Writes(), uuid4(), uuid4(), uuid4()
    coalescing = Coalescing(writes)
    first = asyncio.create_task(coalescing.write(video, in_time, 3))
    await writes.begun.wait()

    async def hurried() -> None:
        set_time_left(0.02)
        await coalescing.write(video, late, 3)

    with pytest.raises(DeadlineExceeded):
        await asyncio.create_task(hurried())
    writes.go_on.set()
    await first
    await coalescing.write(video, in_time, 4)
    assert not any(late in made for made in writes.made)
