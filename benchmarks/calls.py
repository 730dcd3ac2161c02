"""The calls that are measured: who serves each, what is asked, and the rows that must be there."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from uuid import UUID, uuid1, uuid4

from google.protobuf.message import Message
from grpc import aio

from protos import comments_pb2, ratings_pb2, statistics_pb2, user_management_pb2, video_catalog_pb2
from protos.common_pb2 import TimeUuid, Uuid

VIDEOS, USERS, COMMENTS = 50, 20, 40
PASSWORD = "a password of usual length"  # noqa: S105  # of users that live as long as the run
PAGE = 10

SERVICES = {
    "comments": "killrvideo.comments.CommentsService",
    "ratings": "killrvideo.ratings.RatingsService",
    "statistics": "killrvideo.statistics.StatisticsService",
    "user_management": "killrvideo.user_management.UserManagementService",
    "video_catalog": "killrvideo.video_catalog.VideoCatalogService",
}


@dataclass
class Rows:
    """The ids of what is in the database."""

    users: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(USERS)])
    videos: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(VIDEOS)])
    run: str = field(default_factory=lambda: uuid4().hex[:8])
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def video(self) -> Uuid:
        """Any of the videos."""
        return uuid(self.dice.choice(self.videos))

    def user(self) -> Uuid:
        """Any of the users."""
        return uuid(self.dice.choice(self.users))

    def email(self, user_id: UUID) -> str:
        """The e-mail address of one of the users."""
        return f"{user_id}@example.org"


@dataclass(frozen=True)
class MeasuredCall:
    """One call: its name and service, how a request is made, the target of its CPU time as a multiple of the floor's, how many are made in a
    round, whether the answers of two servers can be compared, and the highest rate, calls a second (a password takes 40 ms).
    """

    name: str
    service: str
    request: Callable[[Rows], Message]
    target: float
    calls: int = 1500
    same_answer: bool = True
    max_rate: float = inf


def uuid(value: UUID) -> Uuid:
    """An id as a message."""
    return Uuid(value=str(value))


CALLS = (
    MeasuredCall(
        "GetVideo", "video_catalog", lambda rows: video_catalog_pb2.GetVideoRequest(video_id=rows.video()), 1.2
    ),
    MeasuredCall(
        "GetVideoPreviews",
        "video_catalog",
        lambda rows: video_catalog_pb2.GetVideoPreviewsRequest(
            video_ids=map(uuid, rows.dice.sample(rows.videos, PAGE))
        ),
        1.2,
        calls=800,
    ),
    MeasuredCall(
        "GetLatestVideoPreviews",
        "video_catalog",
        lambda rows: video_catalog_pb2.GetLatestVideoPreviewsRequest(page_size=PAGE),
        1.2,
        same_answer=False,
    ),
    MeasuredCall(
        "GetUserVideoPreviews",
        "video_catalog",
        lambda rows: video_catalog_pb2.GetUserVideoPreviewsRequest(user_id=rows.user(), page_size=PAGE),
        1.2,
    ),
    MeasuredCall(
        "GetVideoComments",
        "comments",
        lambda rows: comments_pb2.GetVideoCommentsRequest(video_id=rows.video(), page_size=PAGE),
        1.2,
        same_answer=False,
    ),
    MeasuredCall("GetRating", "ratings", lambda rows: ratings_pb2.GetRatingRequest(video_id=rows.video()), 1.2),
    MeasuredCall(
        "GetUserRating",
        "ratings",
        lambda rows: ratings_pb2.GetUserRatingRequest(video_id=rows.video(), user_id=rows.user()),
        1.2,
    ),
    MeasuredCall(
        "GetNumberOfPlays",
        "statistics",
        lambda rows: statistics_pb2.GetNumberOfPlaysRequest(video_ids=map(uuid, rows.dice.sample(rows.videos, PAGE))),
        1.2,
        calls=800,
    ),
    MeasuredCall(
        "GetUserProfile",
        "user_management",
        lambda rows: user_management_pb2.GetUserProfileRequest(user_ids=map(uuid, rows.dice.sample(rows.users, PAGE))),
        1.2,
        calls=800,
    ),
    MeasuredCall(
        "CommentOnVideo",
        "comments",
        lambda rows: comments_pb2.CommentOnVideoRequest(
            video_id=uuid(uuid4()),  # another video, so that the lists that are read stay as they are
            user_id=uuid(uuid4()),
            comment_id=TimeUuid(value=str(uuid1())),
            comment="A comment of the usual length, about as much as people write.",
        ),
        1.3,
        calls=1000,
    ),
    MeasuredCall(
        "RecordPlaybackStarted",
        "statistics",
        lambda rows: statistics_pb2.RecordPlaybackStartedRequest(video_id=uuid(uuid4())),
        1.3,
        calls=1000,
    ),
    MeasuredCall(
        "RateVideo",
        "ratings",
        lambda rows: ratings_pb2.RateVideoRequest(video_id=uuid(uuid4()), user_id=rows.user(), rating=4),
        1.3,
        calls=400,
    ),
    MeasuredCall("SubmitYouTubeVideo", "video_catalog", lambda rows: _submission(uuid4(), uuid4()), 1.3, calls=300),
    MeasuredCall("CreateUser", "user_management", lambda rows: _new_user(rows, uuid4()), 1.3, calls=48, max_rate=10),
    MeasuredCall(
        "VerifyCredentials",
        "user_management",
        lambda rows: user_management_pb2.VerifyCredentialsRequest(
            email=rows.email(rows.dice.choice(rows.users)), password=PASSWORD
        ),
        1.05,
        calls=48,
        max_rate=10,
    ),
)


def call_named(name: str) -> MeasuredCall:
    """One of the calls, by its name."""
    return next(call for call in CALLS if call.name == name)


def _submission(video_id: UUID, user_id: UUID) -> video_catalog_pb2.SubmitYouTubeVideoRequest:
    return video_catalog_pb2.SubmitYouTubeVideoRequest(
        video_id=uuid(video_id),
        user_id=uuid(user_id),
        name="A walk through an orchard in spring",
        description="Blossoms, bees and a long lane between old trees.",
        tags=["orchard", "spring", "long walks"],
        you_tube_video_id="abcdefghijk",
    )


def _new_user(rows: Rows, user_id: UUID) -> user_management_pb2.CreateUserRequest:
    return user_management_pb2.CreateUserRequest(
        user_id=uuid(user_id), first_name="Ann", last_name="Example", email=rows.email(user_id), password=PASSWORD
    )


def method(channel: aio.Channel, service: str, name: str) -> aio.UnaryUnaryMultiCallable[Message, bytes]:
    """A call by name, whose answer stays as bytes: what the caller does with it is not measured."""
    return channel.unary_unary(
        f"/{SERVICES[service]}/{name}",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=bytes,
    )


async def fill(addresses: dict[str, str]) -> Rows:
    """Write the rows, by the services' own calls."""
    rows = Rows()
    async with aio.insecure_channel(addresses["video_catalog"]) as channel:
        submit = method(channel, "video_catalog", "SubmitYouTubeVideo")
        for number, video_id in enumerate(rows.videos):
            await submit(_submission(video_id, rows.users[number % 4]))
    async with aio.insecure_channel(addresses["user_management"]) as channel:
        create = method(channel, "user_management", "CreateUser")
        for user_id in rows.users:
            await create(_new_user(rows, user_id))
    async with aio.insecure_channel(addresses["comments"]) as channel:
        comment = method(channel, "comments", "CommentOnVideo")
        for video_id in rows.videos:
            await asyncio.gather(
                *(
                    comment(
                        comments_pb2.CommentOnVideoRequest(
                            video_id=uuid(video_id),
                            user_id=rows.user(),
                            comment_id=TimeUuid(value=str(uuid1())),
                            comment="A comment of the usual length, about as much as people write.",
                        )
                    )
                    for _ in range(COMMENTS)
                )
            )
    async with aio.insecure_channel(addresses["ratings"]) as channel:
        rate = method(channel, "ratings", "RateVideo")
        for video_id in rows.videos:
            await asyncio.gather(
                *(
                    rate(ratings_pb2.RateVideoRequest(video_id=uuid(video_id), user_id=uuid(user_id), rating=4))
                    for user_id in rows.users[:10]
                )
            )
    async with aio.insecure_channel(addresses["statistics"]) as channel:
        play = method(channel, "statistics", "RecordPlaybackStarted")
        for video_id in rows.videos:
            await play(statistics_pb2.RecordPlaybackStartedRequest(video_id=uuid(video_id)))
    return rows
