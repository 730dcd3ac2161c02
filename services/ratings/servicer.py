"""The calls of RatingsService."""

from typing import Any

from common.requests import RequestReader
from grpc_discovery import shielded
from protos import ratings_pb2 as messages
from protos.ratings_pb2_grpc import RatingsServiceServicer
from services.ratings.tally import Tally

MIN_RATING, MAX_RATING = 1, 5


class RatingsServicer(RatingsServiceServicer):
    """Rating videos, and what the ratings of a video come to."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    async def RateVideo(self, request: messages.RateVideoRequest, context: Any) -> messages.RateVideoResponse:
        """Rate a video; rating it again replaces."""
        reader = RequestReader(request)
        video_id, user_id = reader.uuid("video_id"), reader.uuid("user_id")
        rating = reader.integer("rating", MIN_RATING, MAX_RATING)
        reader.raise_if_invalid()
        await shielded(self._tally.rate(video_id, user_id, rating))
        return messages.RateVideoResponse()

    async def GetRating(self, request: messages.GetRatingRequest, context: Any) -> messages.GetRatingResponse:
        """How many users rated a video, and the sum of their ratings; 0 and 0 where there are none."""
        reader = RequestReader(request)
        video_id = reader.uuid("video_id")
        reader.raise_if_invalid()
        count, total = await self._tally.totals(video_id)
        return messages.GetRatingResponse(video_id=request.video_id, ratings_count=count, ratings_total=total)

    async def GetUserRating(
        self, request: messages.GetUserRatingRequest, context: Any
    ) -> messages.GetUserRatingResponse:
        """The rating that a user gave a video; 0 if they gave none."""
        reader = RequestReader(request)
        video_id, user_id = reader.uuid("video_id"), reader.uuid("user_id")
        reader.raise_if_invalid()
        rating = await self._tally.ratings.rating_by(video_id, user_id)
        return messages.GetUserRatingResponse(video_id=request.video_id, user_id=request.user_id, rating=rating)
