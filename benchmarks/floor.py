"""The floor: the same reads and writes with bare grpc.aio, uvloop and prepared statements of cassandra-driver, and nothing around them.

No checks, no deadlines, no statuses, no paging tokens. It runs our statements, so that nothing but what stands around them differs.
`python -m benchmarks.floor SERVICE PORT CASSANDRA_HOST CASSANDRA_PORT KEYSPACE`, one service a process, as ours.
"""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import uvloop
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import BatchStatement, tuple_factory
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from common.database import Statement
from protos import comments_pb2, ratings_pb2, statistics_pb2, user_management_pb2, video_catalog_pb2
from protos.comments_pb2_grpc import CommentsServiceServicer, add_CommentsServiceServicer_to_server
from protos.common_pb2 import TimeUuid, Uuid
from protos.ratings_pb2_grpc import RatingsServiceServicer, add_RatingsServiceServicer_to_server
from protos.statistics_pb2_grpc import StatisticsServiceServicer, add_StatisticsServiceServicer_to_server
from protos.user_management_pb2_grpc import UserManagementServiceServicer, add_UserManagementServiceServicer_to_server
from protos.video_catalog_pb2_grpc import VideoCatalogServiceServicer, add_VideoCatalogServiceServicer_to_server
from services.comments import repository as comments
from services.ratings import repository as ratings
from services.statistics import repository as statistics
from services.user_management import repository as users
from services.user_management.passwords import Passwords
from services.video_catalog import repository as videos
from services.video_catalog.index_plan import Step, steps_to_write
from services.video_catalog.video import Video

_EPOCH = datetime(1970, 1, 1)
_GREGORIAN_MS = 12_219_292_800_000
_PAGE = 10


class Session:
    """Prepared statements, each answer waking the loop."""

    def __init__(self, host: str, port: int, keyspace: str) -> None:
        profile = ExecutionProfile(
            TokenAwarePolicy(DCAwareRoundRobinPolicy()),
            consistency_level=ConsistencyLevel.LOCAL_QUORUM,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
            row_factory=tuple_factory,
        )
        cluster = Cluster([host], port=port, execution_profiles={EXEC_PROFILE_DEFAULT: profile}, protocol_version=4)
        self._session = cluster.connect(keyspace)
        self._loop = asyncio.get_running_loop()
        groups = (comments, ratings, statistics, users, videos)
        self._prepared = {
            statement: self._session.prepare(statement.cql) for each in groups for statement in each.STATEMENTS
        }

    async def run(self, statement: Statement, *values: Any) -> list[Any]:
        """Run one statement."""
        return await self._answer(self._prepared[statement].bind(values))

    async def batch(self, steps: list[Step]) -> list[Any]:
        """Run several as one logged batch."""
        batch = BatchStatement()
        for statement, values in steps:
            batch.add(self._prepared[statement], values)
        return await self._answer(batch)

    async def _answer(self, bound: Any) -> list[Any]:
        future = self._loop.create_future()
        self._session.execute_async(bound).add_callbacks(
            lambda rows: self._loop.call_soon_threadsafe(future.set_result, rows or []),
            lambda error: self._loop.call_soon_threadsafe(future.set_exception, error),
        )
        rows: list[Any] = await future
        return rows


def _timestamp(moment: datetime) -> Timestamp:
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def _time_of(time_uuid: UUID) -> Timestamp:
    seconds, milliseconds = divmod(time_uuid.time // 10_000 - _GREGORIAN_MS, 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class Comments(CommentsServiceServicer):
    """Comments at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def CommentOnVideo(self, request: Any, context: Any) -> Any:
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

    async def GetVideoComments(self, request: Any, context: Any) -> Any:
        """Read a page."""
        rows = await self._session.run(comments.OF_VIDEO, UUID(request.video_id.value), request.page_size + 1)
        return comments_pb2.GetVideoCommentsResponse(
            video_id=request.video_id,
            comments=[
                comments_pb2.VideoComment(
                    comment_id=TimeUuid(value=str(comment_id)),
                    user_id=Uuid(value=str(user_id)),
                    comment=comment,
                    comment_timestamp=_time_of(comment_id),
                )
                for comment_id, user_id, comment in rows[: request.page_size]
            ],
        )


class Ratings(RatingsServiceServicer):
    """Ratings at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def RateVideo(self, request: Any, context: Any) -> Any:
        """Read what stands, write the conditional batch, the counters and the list of the user."""
        video_id, user_id = UUID(request.video_id.value), UUID(request.user_id.value)
        standing: list[Any]
        former: list[Any]
        standing, former, _ = await asyncio.gather(
            self._session.run(ratings.STANDING, video_id),
            self._session.run(ratings.RATINGS_BY, video_id, [user_id]),
            self._session.run(ratings.INSERT_OF_USER, user_id, _now(), video_id, request.rating),
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

    async def GetRating(self, request: Any, context: Any) -> Any:
        """Read the totals."""
        rows = await self._session.run(ratings.STANDING, UUID(request.video_id.value))
        count, total = rows[0][:2] if rows else (0, 0)
        return ratings_pb2.GetRatingResponse(video_id=request.video_id, ratings_count=count, ratings_total=total)

    async def GetUserRating(self, request: Any, context: Any) -> Any:
        """Read one rating."""
        rows = await self._session.run(ratings.RATING_BY, UUID(request.video_id.value), UUID(request.user_id.value))
        return ratings_pb2.GetUserRatingResponse(
            video_id=request.video_id, user_id=request.user_id, rating=rows[0][0] if rows else 0
        )


class Statistics(StatisticsServiceServicer):
    """Plays at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def RecordPlaybackStarted(self, request: Any, context: Any) -> Any:
        """Count one play."""
        await self._session.run(statistics.ADD_PLAY, UUID(request.video_id.value))
        return statistics_pb2.RecordPlaybackStartedResponse()

    async def GetNumberOfPlays(self, request: Any, context: Any) -> Any:
        """Read counters."""
        ids = [UUID(each.value) for each in request.video_ids]
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

    async def CreateUser(self, request: Any, context: Any) -> Any:
        """Hash and write as our service does."""
        user_id = UUID(request.user_id.value)
        await asyncio.gather(
            self._session.run(users.CREDENTIALS, request.email), self._session.run(users.USERS, [user_id])
        )
        password = await self._passwords.hashed(request.password)
        await self._session.run(users.CLAIM, request.email, password, user_id, _now())
        await self._session.run(
            users.INSERT_USER, user_id, request.first_name, request.last_name, request.email, _now()
        )
        await self._session.run(users.COMPLETE, request.email, user_id)
        return user_management_pb2.CreateUserResponse()

    async def VerifyCredentials(self, request: Any, context: Any) -> Any:
        """Read the hash and check it."""
        rows = await self._session.run(users.CREDENTIALS, request.email)
        await self._passwords.check(rows[0][1], request.password)
        return user_management_pb2.VerifyCredentialsResponse(user_id=Uuid(value=str(rows[0][2])))

    async def GetUserProfile(self, request: Any, context: Any) -> Any:
        """Read users."""
        ids = [UUID(each.value) for each in request.user_ids]
        rows = {row[0]: row for row in await self._session.run(users.USERS, ids)}
        return user_management_pb2.GetUserProfileResponse(
            profiles=[
                user_management_pb2.UserProfile(user_id=sent, first_name=row[1], last_name=row[2], email=row[3])
                for sent, user_id in zip(request.user_ids, ids, strict=True)
                if (row := rows.get(user_id))
            ]
        )


class VideoCatalog(VideoCatalogServiceServicer):
    """Videos at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parts: tuple[list[Step], ...] = ()

    async def SubmitYouTubeVideo(self, request: Any, context: Any) -> Any:
        """Write as our service does; what to write was worked out at the first call, for all submitted here have the same words."""
        video_id, user_id = UUID(request.video_id.value), UUID(request.user_id.value)
        claim = uuid4()
        if not self._parts:
            location = request.you_tube_video_id
            preview = f"//img.youtube.com/vi/{location}/hqdefault.jpg"
            self._model = Video(
                UUID(int=0),
                user_id,
                request.name,
                request.description,
                location,
                0,
                preview,
                frozenset(request.tags),
                _now(),
            )
            steps, _ = steps_to_write(self._model, None)
            self._parts = (steps.before, steps.together)
        await self._session.run(videos.CLAIM, video_id, claim, user_id, _now())
        await self._session.run(videos.VIDEO, video_id)
        model = self._model.video_id
        for part in filter(None, self._parts):
            await self._session.batch(
                [(write, [video_id if value == model else value for value in values]) for write, values in part]
            )
        await self._session.run(videos.RELEASE, video_id, claim)
        return video_catalog_pb2.SubmitYouTubeVideoResponse()

    async def GetVideo(self, request: Any, context: Any) -> Any:
        """Read one row."""
        [row] = await self._session.run(videos.VIDEO, UUID(request.video_id.value))
        return video_catalog_pb2.GetVideoResponse(
            video_id=request.video_id,
            user_id=Uuid(value=str(row[1])),
            name=row[2],
            description=row[3],
            location=row[4],
            location_type=row[5],
            tags=sorted(row[7] or ()),
            added_date=_timestamp(row[8]),
        )

    async def GetVideoPreviews(self, request: Any, context: Any) -> Any:
        """Read rows by key."""
        ids = [UUID(each.value) for each in request.video_ids]
        rows = {row[0]: row for row in await self._session.run(videos.PREVIEWS, ids)}
        return video_catalog_pb2.GetVideoPreviewsResponse(
            video_previews=[
                _preview(rows[video_id], sent, Uuid(value=str(rows[video_id][4])))
                for sent, video_id in zip(request.video_ids, ids, strict=True)
                if video_id in rows
            ]
        )

    async def GetLatestVideoPreviews(self, request: Any, context: Any) -> Any:
        """Read today's list, and the days before until the page is full."""
        found: list[Any] = []
        day = datetime.now(UTC).date()
        while len(found) <= request.page_size:
            found += await self._session.run(videos.OF_DAY, f"{day:%Y%m%d}", request.page_size + 1 - len(found))
            day -= timedelta(days=1)
        return video_catalog_pb2.GetLatestVideoPreviewsResponse(
            video_previews=[
                _preview(row, Uuid(value=str(row[0])), Uuid(value=str(row[4]))) for row in found[: request.page_size]
            ]
        )

    async def GetUserVideoPreviews(self, request: Any, context: Any) -> Any:
        """Read the list of a user."""
        rows = await self._session.run(videos.OF_USER, UUID(request.user_id.value), request.page_size + 1)
        return video_catalog_pb2.GetUserVideoPreviewsResponse(
            user_id=request.user_id,
            video_previews=[
                _preview(row, Uuid(value=str(row[0])), request.user_id) for row in rows[: request.page_size]
            ],
        )


def _preview(row: Any, video_id: Uuid, user_id: Uuid) -> Any:
    return video_catalog_pb2.VideoPreview(
        video_id=video_id, added_date=_timestamp(row[1]), name=row[2], preview_image_location=row[3], user_id=user_id
    )


_REGISTERED: dict[str, tuple[Any, Any]] = {
    "comments": (Comments, add_CommentsServiceServicer_to_server),
    "ratings": (Ratings, add_RatingsServiceServicer_to_server),
    "statistics": (Statistics, add_StatisticsServiceServicer_to_server),
    "user_management": (Users, add_UserManagementServiceServicer_to_server),
    "video_catalog": (VideoCatalog, add_VideoCatalogServiceServicer_to_server),
}


async def _serve(slug: str, port: int, host: str, cassandra_port: int, keyspace: str) -> None:
    server = aio.server()
    servicer, register = _REGISTERED[slug]
    register(servicer(Session(host, cassandra_port, keyspace)), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]))
