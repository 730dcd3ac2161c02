"""What visitors of a video site do, as calls. A visit is a sequence of calls, each begun when the one before it was answered."""

import bisect
import itertools
import random
import uuid
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias

from google.protobuf.message import Message
from grpc import StatusCode
from grpc.aio import AioRpcError, UnaryUnaryMultiCallable

from client import Services
from protos import (
    comments_pb2,
    ratings_pb2,
    search_pb2,
    statistics_pb2,
    suggested_videos_pb2,
    user_management_pb2,
    video_catalog_pb2,
)
from protos.common_pb2 import TimeUuid, Uuid

USERS = 20
PASSWORD = "a load test's password"  # noqa: S105  # of accounts that only a load test makes
_NAMESPACE = uuid.UUID("5b1f0a8e-3c1d-4a5e-9b76-1f6b0c8f5d11")
_PAGE = 100

Call: TypeAlias = tuple[UnaryUnaryMultiCallable[Any, Any], Message]
"""A method of a stub and its request."""


class Visitors:
    """Makes visits: videos by Zipf over those present, people from a small set of the load test's own."""

    def __init__(self, services: Services, seed: int, zipf: float) -> None:
        self._services = services
        self._random = random.Random(seed)
        self._zipf = zipf
        self._videos: list[Uuid] = []
        self._words: list[str] = ["video"]
        self._weights: list[float] = []
        self._users = [Uuid(value=str(uuid.uuid5(_NAMESPACE, f"user {n}"))) for n in range(USERS)]

    async def prepare(self, max_videos: int, timeout: float) -> int:
        """Create the load test's people, and learn which videos there are (at most `max_videos` of the latest). Returns how many.

        `timeout` is each call's, in seconds. Raises AioRpcError when a service does not answer.
        """
        await self._create_people(timeout)
        await self._read_videos(max_videos, timeout)
        self._weights = list(itertools.accumulate(1 / rank**self._zipf for rank in range(1, len(self._videos) + 1)))
        return len(self._videos)

    async def _create_people(self, timeout: float) -> None:
        for number, user in enumerate(self._users):
            request = user_management_pb2.CreateUserRequest(
                user_id=user, first_name="Load", last_name=f"Test {number}", email=_email(number), password=PASSWORD
            )
            known = await self._services.user_management.GetUserProfile(
                user_management_pb2.GetUserProfileRequest(user_ids=[user]), timeout=timeout
            )
            if not known.profiles:
                try:
                    await self._services.user_management.CreateUser(request, timeout=timeout)
                except AioRpcError as error:
                    if error.code() is not StatusCode.ALREADY_EXISTS:  # another generator was faster
                        raise

    async def _read_videos(self, max_videos: int, timeout: float) -> None:
        state = ""
        while len(self._videos) < max_videos:
            latest = await self._services.video_catalog.GetLatestVideoPreviews(
                video_catalog_pb2.GetLatestVideoPreviewsRequest(
                    page_size=min(_PAGE, max_videos - len(self._videos)), paging_state=state
                ),
                timeout=timeout,
            )
            self._videos += [preview.video_id for preview in latest.video_previews]
            self._words += [word for preview in latest.video_previews for word in preview.name.split()[:2]]
            state = latest.paging_state
            if not state:
                break

    def _video(self) -> Uuid:
        return self._videos[bisect.bisect_left(self._weights, self._random.random() * self._weights[-1])]

    def _user(self) -> Uuid:
        return self._random.choice(self._users)

    def visit(self, action: str) -> AsyncGenerator[Call, Any]:
        """The calls of one visit. Each answer is sent into the generator, which may look at it for the next call."""
        visit: AsyncGenerator[Call, Any] = getattr(self, f"_{action}")()
        return visit

    async def _home(self) -> AsyncGenerator[Call, Any]:
        latest = yield (
            self._services.video_catalog.GetLatestVideoPreviews,
            video_catalog_pb2.GetLatestVideoPreviewsRequest(page_size=10),
        )
        if latest and latest.video_previews:
            authors = {preview.user_id.value: preview.user_id for preview in latest.video_previews}
            yield (
                self._services.user_management.GetUserProfile,
                user_management_pb2.GetUserProfileRequest(user_ids=list(authors.values())),
            )

    async def _watch(self) -> AsyncGenerator[Call, Any]:
        video = self._video()
        yield self._services.video_catalog.GetVideo, video_catalog_pb2.GetVideoRequest(video_id=video)
        yield self._services.ratings.GetRating, ratings_pb2.GetRatingRequest(video_id=video)
        yield (
            self._services.comments.GetVideoComments,
            comments_pb2.GetVideoCommentsRequest(video_id=video, page_size=10),
        )
        yield (
            self._services.statistics.RecordPlaybackStarted,
            statistics_pb2.RecordPlaybackStartedRequest(video_id=video),
        )
        yield (
            self._services.suggested_videos.GetRelatedVideos,
            suggested_videos_pb2.GetRelatedVideosRequest(video_id=video, page_size=5),
        )

    async def _search(self) -> AsyncGenerator[Call, Any]:
        word = self._random.choice(self._words)
        yield (
            self._services.search.GetQuerySuggestions,
            search_pb2.GetQuerySuggestionsRequest(query=word[:3], page_size=5),
        )
        yield self._services.search.SearchVideos, search_pb2.SearchVideosRequest(query=word, page_size=10)

    async def _sign_in(self) -> AsyncGenerator[Call, Any]:
        number = self._random.randrange(USERS)
        yield (
            self._services.user_management.VerifyCredentials,
            user_management_pb2.VerifyCredentialsRequest(email=_email(number), password=PASSWORD),
        )

    async def _comment(self) -> AsyncGenerator[Call, Any]:
        yield (
            self._services.comments.CommentOnVideo,
            comments_pb2.CommentOnVideoRequest(
                video_id=self._video(),
                user_id=self._user(),
                comment_id=TimeUuid(value=str(uuid.uuid1())),
                comment="Seen by a load test.",
            ),
        )

    async def _rate(self) -> AsyncGenerator[Call, Any]:
        yield (
            self._services.ratings.RateVideo,
            ratings_pb2.RateVideoRequest(
                video_id=self._video(),
                user_id=Uuid(value=str(uuid.UUID(int=self._random.getrandbits(128), version=4))),
                rating=self._random.randint(1, 5),
            ),
        )

    async def _submit(self) -> AsyncGenerator[Call, Any]:
        yield (
            self._services.video_catalog.SubmitYouTubeVideo,
            video_catalog_pb2.SubmitYouTubeVideoRequest(
                video_id=Uuid(value=str(uuid.uuid4())),
                user_id=self._user(),
                name="A load test's video",
                tags=["load test"],
                you_tube_video_id="dQw4w9WgXcQ",
            ),
        )

    async def _comments_page(self) -> AsyncGenerator[Call, Any]:
        yield (
            self._services.comments.GetVideoComments,
            comments_pb2.GetVideoCommentsRequest(video_id=self._video(), page_size=10),
        )

    async def _user_page(self) -> AsyncGenerator[Call, Any]:
        user = self._user()
        yield self._services.user_management.GetUserProfile, user_management_pb2.GetUserProfileRequest(user_ids=[user])
        yield (
            self._services.video_catalog.GetUserVideoPreviews,
            video_catalog_pb2.GetUserVideoPreviewsRequest(user_id=user, page_size=10),
        )

    async def _suggested(self) -> AsyncGenerator[Call, Any]:
        yield (
            self._services.suggested_videos.GetSuggestedForUser,
            suggested_videos_pb2.GetSuggestedForUserRequest(user_id=self._user(), page_size=5),
        )


def _email(number: int) -> str:
    return f"load-test-{number}@example.org"
