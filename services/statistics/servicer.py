"""The calls of StatisticsService."""

from typing import Any

from common.messages import Fields
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
        fields = Fields(request)
        video_id = fields.uuid("video_id")
        fields.check()
        await self._repository.add_play(video_id)
        return messages.RecordPlaybackStartedResponse()

    async def GetNumberOfPlays(
        self, request: messages.GetNumberOfPlaysRequest, context: Any
    ) -> messages.GetNumberOfPlaysResponse:
        """How often each of some videos was played, in the order of the request."""
        fields = Fields(request)
        video_ids = fields.uuids("video_ids")
        fields.check()
        plays = await self._repository.plays(video_ids)
        return messages.GetNumberOfPlaysResponse(
            stats=[
                messages.PlayStats(video_id=sent, views=plays.get(video_id, 0))
                for sent, video_id in zip(request.video_ids, video_ids, strict=True)
            ]
        )
