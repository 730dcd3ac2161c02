"""The five services that a load calls, with their data in dicts, and a small data set for them."""

import asyncio
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from client import Services
from common.errors import Unavailable
from common.settings import Settings
from common.timestamps import now, timestamp_message
from grpc_discovery import AlreadyExists, InvalidArgument
from protos import comments_pb2, ratings_pb2, statistics_pb2, user_management_pb2, video_catalog_pb2
from protos.comments_pb2_grpc import CommentsServiceServicer
from protos.ratings_pb2_grpc import RatingsServiceServicer
from protos.statistics_pb2_grpc import StatisticsServiceServicer
from protos.user_management_pb2_grpc import UserManagementServiceServicer
from protos.video_catalog_pb2_grpc import VideoCatalogServiceServicer
from sampledata.items import DataSet
from sampledata.loader import Loader, Options
from sampledata.progress import LoadProgress
from sampledata.readers import read_folder


class Users(UserManagementServiceServicer):
    """Users in a dict, by id."""

    def __init__(self) -> None:
        self.users: dict[str, user_management_pb2.CreateUserRequest] = {}
        self.lost_answers = 0

    async def CreateUser(self, request: Any, context: Any) -> user_management_pb2.CreateUserResponse:
        if not request.email:
            raise InvalidArgument({"email": "must not be blank"})
        if any(request.email == other.email for other in self.users.values()):
            raise AlreadyExists("taken")
        self.users[request.user_id.value] = request
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("the answer is lost")
        return user_management_pb2.CreateUserResponse()

    async def GetUserProfile(self, request: Any, context: Any) -> user_management_pb2.GetUserProfileResponse:
        assert 1 <= len(request.user_ids) <= 200
        known = [self.users[user_id.value] for user_id in request.user_ids if user_id.value in self.users]
        profiles = [user_management_pb2.UserProfile(user_id=user.user_id, email=user.email) for user in known]
        return user_management_pb2.GetUserProfileResponse(profiles=profiles)


class Videos(VideoCatalogServiceServicer):
    """Videos in a dict, in the order of their submission."""

    def __init__(self) -> None:
        self.videos: dict[str, Any] = {}
        self.dates: dict[str, datetime] = {}
        self.submitted: Counter[str] = Counter()

    async def SubmitYouTubeVideo(self, request: Any, context: Any) -> video_catalog_pb2.SubmitYouTubeVideoResponse:
        if not request.name.strip():
            raise InvalidArgument({"name": "must not be blank"})
        self.videos[request.video_id.value] = request
        self.dates[request.video_id.value] = now()
        self.submitted[request.video_id.value] += 1
        return video_catalog_pb2.SubmitYouTubeVideoResponse()

    async def SubmitUploadedVideo(self, request: Any, context: Any) -> video_catalog_pb2.SubmitUploadedVideoResponse:
        self.videos[request.video_id.value] = request
        self.dates[request.video_id.value] = now()
        return video_catalog_pb2.SubmitUploadedVideoResponse()

    async def GetVideoPreviews(self, request: Any, context: Any) -> video_catalog_pb2.GetVideoPreviewsResponse:
        assert 1 <= len(request.video_ids) <= 200
        known = [video_id for video_id in request.video_ids if video_id.value in self.videos]
        previews = [
            video_catalog_pb2.VideoPreview(video_id=video_id, added_date=timestamp_message(self.date(video_id.value)))
            for video_id in known
        ]
        return video_catalog_pb2.GetVideoPreviewsResponse(video_previews=previews)

    def date(self, video_id: str) -> datetime:
        """When it was submitted, in UTC without a zone."""
        return self.dates.setdefault(video_id, now())

    async def GetLatestVideoPreviews(
        self, request: Any, context: Any
    ) -> video_catalog_pb2.GetLatestVideoPreviewsResponse:
        previews = [
            video_catalog_pb2.VideoPreview(name=video.name) for video in list(self.videos.values())[: request.page_size]
        ]
        return video_catalog_pb2.GetLatestVideoPreviewsResponse(video_previews=previews)


class Ratings(RatingsServiceServicer):
    """Ratings in a dict, by video and user."""

    def __init__(self) -> None:
        self.ratings: dict[tuple[str, str], int] = {}
        self.rated: Counter[tuple[str, str]] = Counter()

    async def RateVideo(self, request: Any, context: Any) -> ratings_pb2.RateVideoResponse:
        if not 1 <= request.rating <= 5:
            raise InvalidArgument({"rating": f"must be 1 to 5, not {request.rating}"})
        self.ratings[request.video_id.value, request.user_id.value] = request.rating
        self.rated[request.video_id.value, request.user_id.value] += 1
        return ratings_pb2.RateVideoResponse()

    async def GetUserRating(self, request: Any, context: Any) -> ratings_pb2.GetUserRatingResponse:
        rating = self.ratings.get((request.video_id.value, request.user_id.value), 0)
        return ratings_pb2.GetUserRatingResponse(rating=rating)


class Comments(CommentsServiceServicer):
    """Comments in a dict, by id; listed in pages of two, whatever is asked for."""

    def __init__(self) -> None:
        self.comments: dict[str, Any] = {}
        self.comment_counts: Counter[str] = Counter()

    async def CommentOnVideo(self, request: Any, context: Any) -> comments_pb2.CommentOnVideoResponse:
        self.comments[request.comment_id.value] = request
        self.comment_counts[request.comment_id.value] += 1
        return comments_pb2.CommentOnVideoResponse()

    async def GetVideoComments(self, request: Any, context: Any) -> comments_pb2.GetVideoCommentsResponse:
        ids = sorted(key for key, comment in self.comments.items() if comment.video_id == request.video_id)
        begin = int(request.paging_state or 0)
        page = [comments_pb2.VideoComment(comment_id=self.comments[key].comment_id) for key in ids[begin : begin + 2]]
        state = str(begin + 2) if begin + 2 < len(ids) else ""
        return comments_pb2.GetVideoCommentsResponse(comments=page, paging_state=state)


class Statistics(StatisticsServiceServicer):
    """Numbers of plays; `lost` answers are lost after the play was counted, and `refused` before."""

    def __init__(self) -> None:
        self.views: Counter[str] = Counter()
        self.lost = self.refused = 0
        self.under_way = self.max_under_way = 0

    async def RecordPlaybackStarted(self, request: Any, context: Any) -> statistics_pb2.RecordPlaybackStartedResponse:
        self.under_way += 1
        self.max_under_way = max(self.max_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.refused:
            self.refused -= 1
            raise Unavailable("not now")
        self.views[request.video_id.value] += 1
        if self.lost:
            self.lost -= 1
            raise Unavailable("the answer is lost")
        return statistics_pb2.RecordPlaybackStartedResponse()

    async def GetNumberOfPlays(self, request: Any, context: Any) -> statistics_pb2.GetNumberOfPlaysResponse:
        assert 1 <= len(request.video_ids) <= 200
        stats = [
            statistics_pb2.PlayStats(video_id=video_id, views=self.views[video_id.value])
            for video_id in request.video_ids
        ]
        return statistics_pb2.GetNumberOfPlaysResponse(stats=stats)


def static_services(addresses: dict[str, str]) -> str:
    return ";".join(f"{service}={address}" for service, address in addresses.items())


def settings_for(addresses: dict[str, str]) -> Settings:
    values: dict[str, Any] = {"discovery": "static", "static_services": static_services(addresses)}
    return Settings.load(**values)


class FakeServices:
    """The five services, and the settings under which they are fakes."""

    def __init__(self) -> None:
        self.users, self.videos, self.ratings = Users(), Videos(), Ratings()
        self.comments, self.statistics = Comments(), Statistics()
        self.addresses: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {"KILLRVIDEO_DISCOVERY": "static", "KILLRVIDEO_STATIC_SERVICES": static_services(self.addresses)}

    async def load(self, data: DataSet, **options: Any) -> LoadProgress:
        progress = LoadProgress()
        async with Services.from_settings(settings_for(self.addresses)) as services:
            await Loader(services, progress, Options(password="p", patience=20, **options)).load(data)
        return progress


def counts(progress: LoadProgress) -> dict[str, tuple[int, int, int]]:
    return {kind: (count.added, count.there, count.skipped) for kind, count in progress.counts.items()}


def small_set(folder: Path, **more: str) -> DataSet:
    """Write two people, two videos and the files that `more` holds, and read them."""
    users = "userid,email,firstname,lastname\n" + "".join(
        f"{user},{name}@example.com,{name},x\n" for user, name in PEOPLE.items()
    )
    videos = "videoid,userid,name,description,location,location_type,tags,added_date\n" + "".join(
        f'{video},{next(iter(PEOPLE))},{name},"several\nlines 🥧",aaaaaaaaaaa,0,{{}},{date}\n'
        for video, (name, date) in VIDEOS.items()
    )
    for name, text in {"users": users, "videos": videos, **more}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return read_folder(folder)


PEOPLE = {str(uuid4()): "ann", str(uuid4()): "bob"}
VIDEOS = {
    str(uuid4()): ("newer", "2026-02-01T00:00:00.000Z"),
    str(uuid4()): ("older", "2026-01-01T00:00:00.000Z"),
}
FIRST_VIDEO, SECOND_VIDEO = VIDEOS
ANN, BOB = PEOPLE
