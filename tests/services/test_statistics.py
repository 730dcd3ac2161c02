"""StatisticsService over the wire, on plays counted in a dict."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from grpc import aio

from protos import statistics_pb2 as messages
from protos.common_pb2 import Uuid
from protos.statistics_pb2_grpc import StatisticsServiceStub, add_StatisticsServiceServicer_to_server
from services.statistics.servicer import StatisticsServicer
from tests.services.serving import bad_fields, serving

if TYPE_CHECKING:
    from protos.statistics_pb2_grpc import StatisticsServiceAsyncStub


class PlaysInADict:
    """What the repository does, in memory."""

    def __init__(self) -> None:
        self.counted: Counter[UUID] = Counter()

    async def add_play(self, video_id: UUID) -> None:
        self.counted[video_id] += 1

    async def plays(self, video_ids: Sequence[UUID]) -> dict[UUID, int]:
        return {video_id: self.counted[video_id] for video_id in video_ids if video_id in self.counted}


@pytest.fixture
async def stub() -> AsyncIterator["StatisticsServiceAsyncStub"]:
    servicer = StatisticsServicer(PlaysInADict())  # type: ignore[arg-type]  # a fake
    async with serving(servicer, add_StatisticsServiceServicer_to_server) as channel:
        yield StatisticsServiceStub(channel)


async def test_plays_come_in_request_order_with_0_for_the_unknown_and_twice_if_asked_twice(
    stub: "StatisticsServiceAsyncStub",
) -> None:
    played, other, unknown = (str(uuid4()) for _ in range(3))
    for video in (played, played, other):
        await stub.RecordPlaybackStarted(messages.RecordPlaybackStartedRequest(video_id=Uuid(value=video)))
    asked = [other, unknown, played, played.upper()]
    answer = await stub.GetNumberOfPlays(
        messages.GetNumberOfPlaysRequest(video_ids=[Uuid(value=video) for video in asked])
    )
    assert [(row.video_id.value, row.views) for row in answer.stats] == list(zip(asked, [1, 0, 2, 2], strict=True))


@pytest.mark.parametrize("number", [0, 201])
async def test_plays_are_asked_for_1_to_200_ids(stub: "StatisticsServiceAsyncStub", number: int) -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.GetNumberOfPlays(messages.GetNumberOfPlaysRequest(video_ids=[Uuid(value=str(uuid4()))] * number))
    assert bad_fields(raised.value) == {"video_ids"}


async def test_a_play_needs_a_video(stub: "StatisticsServiceAsyncStub") -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.RecordPlaybackStarted(messages.RecordPlaybackStartedRequest())
    assert bad_fields(raised.value) == {"video_id"}
