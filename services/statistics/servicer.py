"""The calls of StatisticsService."""

from typing import Any

from common.requests import RequestReader
from protos import statistics_pb2 as messages
from protos.statistics_pb2_grpc import StatisticsServiceServicer
from services.statistics.repository import StatisticsRepository


class StatisticsServicer(StatisticsServiceServicer):
    """Counting plays, and how many there were."""

    def __init__(self, repository: StatisticsRepository) -> None:
        self._repository = repository

    async def RecordPlaybackStarted(
        self, request: messages.RecordPlaybackStartedRequest, context: Any
    ) -> messages.RecordPlaybackStartedResponse:
        """Count one more play. Never tried twice: whether a failed call counted is not known."""
        reader = RequestReader(request)
        video_id = reader.uuid("video_id")
        reader.raise_if_invalid()
        await self._repository.add_play(video_id)
        return messages.RecordPlaybackStartedResponse()

    async def GetNumberOfPlays(
        self, request: messages.GetNumberOfPlaysRequest, context: Any
    ) -> messages.GetNumberOfPlaysResponse:
        """How often each of some videos was played, in the order of the request."""
        reader = RequestReader(request)
        video_ids = reader.uuids("video_ids")
        reader.raise_if_invalid()
        plays = await self._repository.plays(video_ids)
        return messages.GetNumberOfPlaysResponse(
            stats=[
                messages.PlayStats(video_id=sent, views=plays.get(video_id, 0))
                for sent, video_id in zip(request.video_ids, video_ids, strict=True)
            ]
        )
