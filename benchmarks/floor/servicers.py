"""Comments, ratings, plays and users at the floor."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

from benchmarks.floor.session import Session, now, time_of
from protos import comments_pb2, ratings_pb2, statistics_pb2, user_management_pb2
from protos.comments_pb2_grpc import CommentsServiceServicer
from protos.common_pb2 import TimeUuid, Uuid
from protos.ratings_pb2_grpc import RatingsServiceServicer
from protos.statistics_pb2_grpc import StatisticsServiceServicer
from protos.user_management_pb2_grpc import UserManagementServiceServicer
from services.comments import repository as comments
from services.ratings import repository as ratings
from services.statistics import counting
from services.statistics import repository as statistics
from services.user_management import repository as users
from services.user_management.passwords import Passwords


class Comments(CommentsServiceServicer):
    """Comments at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def CommentOnVideo(
        self, request: comments_pb2.CommentOnVideoRequest, context: Any
    ) -> comments_pb2.CommentOnVideoResponse:
        """Write both rows."""
        video_id, user_id = UUID(request.video_id.value), UUID(request.user_id.value)
        comment_id = UUID(request.comment_id.value)
        await self._session.batch(
            [
                (comments.INSERT_BY_VIDEO, (video_id, comment_id, user_id, request.comment)),
                (comments.INSERT_BY_USER, (user_id, comment_id, video_id, request.comment)),
            ]
        )
        return comments_pb2.CommentOnVideoResponse()

    async def GetVideoComments(
        self, request: comments_pb2.GetVideoCommentsRequest, context: Any
    ) -> comments_pb2.GetVideoCommentsResponse:
        """Read a page."""
        rows = await self._session.run(comments.OF_VIDEO, UUID(request.video_id.value), request.page_size + 1)
        return comments_pb2.GetVideoCommentsResponse(
            video_id=request.video_id,
            comments=[
                comments_pb2.VideoComment(
                    comment_id=TimeUuid(value=str(comment_id)),
                    user_id=Uuid(value=str(user_id)),
                    comment=comment,
                    comment_timestamp=time_of(comment_id),
                )
                for comment_id, user_id, comment in rows[: request.page_size]
            ],
        )


class Ratings(RatingsServiceServicer):
    """Ratings at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def RateVideo(self, request: ratings_pb2.RateVideoRequest, context: Any) -> ratings_pb2.RateVideoResponse:
        """Read the totals and the former rating, write the conditional batch, the counters and the list of the user."""
        video_id, user_id = UUID(request.video_id.value), UUID(request.user_id.value)
        standing: list[Any]
        former: list[Any]
        standing, former, _ = await asyncio.gather(
            self._session.run(ratings.STANDING, video_id),
            self._session.run(ratings.RATINGS_BY, video_id, [user_id]),
            self._session.run(ratings.INSERT_OF_USER, user_id, now(), video_id, request.rating),
        )
        count, total, version = standing[0][:3] if standing else (0, 0, None)
        old = former[0][1] if former else None
        count, total = (count or 0) + (old is None), (total or 0) + request.rating - (old or 0)
        await self._session.batch(
            [
                (ratings.SET_TOTALS, (count, total, uuid4(), video_id, version)),
                (ratings.SET_RATING, (request.rating, video_id, user_id, old)),
            ]
        )
        await self._session.run(ratings.ADD_TO_COUNTERS, 1, request.rating, video_id)
        return ratings_pb2.RateVideoResponse()

    async def GetRating(self, request: ratings_pb2.GetRatingRequest, context: Any) -> ratings_pb2.GetRatingResponse:
        """Read the totals."""
        rows = await self._session.run(ratings.STANDING, UUID(request.video_id.value))
        count, total = rows[0][:2] if rows else (0, 0)
        return ratings_pb2.GetRatingResponse(video_id=request.video_id, ratings_count=count, ratings_total=total)

    async def GetUserRating(
        self, request: ratings_pb2.GetUserRatingRequest, context: Any
    ) -> ratings_pb2.GetUserRatingResponse:
        """Read one rating."""
        rows = await self._session.run(ratings.RATING_BY, UUID(request.video_id.value), UUID(request.user_id.value))
        return ratings_pb2.GetUserRatingResponse(
            video_id=request.video_id, user_id=request.user_id, rating=rows[0][0] if rows else 0
        )


class Statistics(StatisticsServiceServicer):
    """Plays at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def RecordPlaybackStarted(
        self, request: statistics_pb2.RecordPlaybackStartedRequest, context: Any
    ) -> statistics_pb2.RecordPlaybackStartedResponse:
        """Count one play."""
        await self._session.run(counting.ADD_PLAY, UUID(request.video_id.value))
        return statistics_pb2.RecordPlaybackStartedResponse()

    async def GetNumberOfPlays(
        self, request: statistics_pb2.GetNumberOfPlaysRequest, context: Any
    ) -> statistics_pb2.GetNumberOfPlaysResponse:
        """Read counters."""
        ids = [UUID(video_id.value) for video_id in request.video_ids]
        plays = dict(await self._session.run(statistics.PLAYS, ids))
        return statistics_pb2.GetNumberOfPlaysResponse(
            stats=[
                statistics_pb2.PlayStats(video_id=sent, views=plays.get(video_id, 0))
                for sent, video_id in zip(request.video_ids, ids, strict=True)
            ]
        )


class Users(UserManagementServiceServicer):
    """Users at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._passwords = Passwords()

    async def CreateUser(
        self, request: user_management_pb2.CreateUserRequest, context: Any
    ) -> user_management_pb2.CreateUserResponse:
        """Hash and write as our service does."""
        user_id = UUID(request.user_id.value)
        await asyncio.gather(
            self._session.run(users.CREDENTIALS, request.email), self._session.run(users.USERS, [user_id])
        )
        password = await self._passwords.hashed(request.password)
        await self._session.run(users.CLAIM, request.email, password, user_id, now())
        await self._session.run(users.INSERT_USER, user_id, request.first_name, request.last_name, request.email, now())
        await self._session.run(users.COMPLETE, request.email, user_id)
        return user_management_pb2.CreateUserResponse()

    async def VerifyCredentials(
        self, request: user_management_pb2.VerifyCredentialsRequest, context: Any
    ) -> user_management_pb2.VerifyCredentialsResponse:
        """Read the hash and check it."""
        rows = await self._session.run(users.CREDENTIALS, request.email)
        await self._passwords.check(rows[0][1], request.password)
        return user_management_pb2.VerifyCredentialsResponse(user_id=Uuid(value=str(rows[0][2])))

    async def GetUserProfile(
        self, request: user_management_pb2.GetUserProfileRequest, context: Any
    ) -> user_management_pb2.GetUserProfileResponse:
        """Read users."""
        ids = [UUID(user_id.value) for user_id in request.user_ids]
        rows = {row[0]: row for row in await self._session.run(users.USERS, ids)}
        return user_management_pb2.GetUserProfileResponse(
            profiles=[
                user_management_pb2.UserProfile(user_id=sent, first_name=row[1], last_name=row[2], email=row[3])
                for sent, user_id in zip(request.user_ids, ids, strict=True)
                if (row := rows.get(user_id))
            ]
        )
