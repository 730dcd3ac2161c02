"""Loading a data set by the services' own calls. What is there already is left as it is, so a load that was cut short is simply run again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from grpc import StatusCode
from grpc.aio import AioRpcError

from client import Services
from protos import comments_pb2, ratings_pb2, statistics_pb2, user_management_pb2, video_catalog_pb2
from protos.common_pb2 import TimeUuid, Uuid
from sampledata.comment_dates import CommentsThere, ids_at_loading
from sampledata.items import BadRow, Comment, DataSet, Person, Place, Plays, Rating, Video

MOST_IDS = 200
MOST_ROWS = 1000

_CALL_SECONDS = 10.0
_RETRY_SECONDS = (0.2, 1.0)
_PLAY_ROUNDS = 3
# Hashing passwords and claiming videos are the services' heavy work; more at once would only queue there.
_HEAVY_AT_ONCE = 4

_TRANSIENT = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED, StatusCode.CANCELLED)
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


class ServicesAway(Exception):
    """The services cannot be found, or do not answer. Nothing is lost: the same load run again goes on."""


class Refused(Exception):
    """A service refused a row."""


class _Placed(Protocol):
    """Something read from a file."""

    @property
    def place(self) -> Place:
        """Where it was read."""
        ...


Item = TypeVar("Item")
Read = TypeVar("Read", bound=_Placed)


@dataclass
class Count:
    """How far one kind of thing has come."""

    total: int = 0
    added: int = 0
    there: int = 0
    skipped: int = 0


@dataclass
class Progress:
    """What a load has done so far. `tell` is called whenever a count changes."""

    counts: dict[str, Count] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)
    tell: Callable[[str, Count], None] = lambda kind, count: None


@dataclass(frozen=True)
class Options:
    """How to load. `patience` is for how many seconds a call is tried again while its service is away."""

    password: str
    most_plays: int | None = None
    at_once: int = 32
    patience: float = 60.0


class Loader:
    """Loads one data set."""

    def __init__(self, services: Services, progress: Progress, options: Options) -> None:
        self._services, self._progress, self._options = services, progress, options

    async def load(self, data: DataSet) -> None:
        """Load people, videos, ratings, comments and plays, in this order. Raises ServicesAway."""
        await self._load_people(data.people)
        await self._load_videos(data.videos)
        await self._load_ratings(data.ratings)
        await self._load_comments(data.comments)
        await self._load_plays(data.plays)

    async def is_wanted(self, data: DataSet) -> bool:
        """Whether the database is empty, or holds videos of this data set, of which a load cut short may have left out some."""
        latest = await self._call(
            self._services.video_catalog.GetLatestVideoPreviews,
            video_catalog_pb2.GetLatestVideoPreviewsRequest(page_size=1),
        )
        return not latest.video_previews or bool(await self._known_videos(data.videos[:MOST_IDS]))

    async def _load_people(self, people: Sequence[Person]) -> None:
        known = await self._known_people(people)

        async def create(person: Person) -> bool:
            if person.user_id in known:
                return False
            request = user_management_pb2.CreateUserRequest(
                user_id=_uuid(person.user_id),
                first_name=person.first_name,
                last_name=person.last_name,
                email=person.email,
                password=self._options.password,
            )
            try:
                await self._call(self._services.user_management.CreateUser, request)
            except Refused:
                # Where the answer to a first try was lost, the second finds the user that the first made.
                if not await self._known_people([person]):
                    raise
            return True

        self._count("people", len(people))
        await self._each("people", people, create, _HEAVY_AT_ONCE)

    async def _known_people(self, people: Iterable[Person]) -> set[UUID]:
        known: set[UUID] = set()
        for some in _chunks([person.user_id for person in people]):
            request = user_management_pb2.GetUserProfileRequest(user_ids=map(_uuid, some))
            answer = await self._call(self._services.user_management.GetUserProfile, request)
            known.update(UUID(profile.user_id.value) for profile in answer.profiles)
        return known

    async def _load_videos(self, videos: Sequence[Video]) -> None:
        known = await self._known_videos(videos)

        async def submit(video: Video) -> bool:
            if video.video_id in known:
                return False
            common: dict[str, Any] = {
                "video_id": _uuid(video.video_id),
                "user_id": _uuid(video.user_id),
                "name": video.name,
                "description": video.description,
                "tags": video.tags,
            }
            if video.uploaded:
                uploaded = video_catalog_pb2.SubmitUploadedVideoRequest(**common, upload_url=video.location)
                await self._call(self._services.video_catalog.SubmitUploadedVideo, uploaded)
            else:
                at_youtube = video_catalog_pb2.SubmitYouTubeVideoRequest(**common, you_tube_video_id=video.location)
                await self._call(self._services.video_catalog.SubmitYouTubeVideo, at_youtube)
            return True

        self._count("videos", len(videos))
        # The services date a video when it is submitted: the oldest first, so that the newest of the set is the newest shown.
        await self._each("videos", sorted(videos, key=lambda video: video.added or _LONG_AGO), submit, _HEAVY_AT_ONCE)

    async def _known_videos(self, videos: Iterable[Video]) -> set[UUID]:
        known: set[UUID] = set()
        for some in _chunks([video.video_id for video in videos]):
            request = video_catalog_pb2.GetVideoPreviewsRequest(video_ids=map(_uuid, some))
            answer = await self._call(self._services.video_catalog.GetVideoPreviews, request)
            known.update(UUID(preview.video_id.value) for preview in answer.video_previews)
        return known

    async def _load_ratings(self, ratings: Sequence[Rating]) -> None:
        async def rate(rating: Rating) -> bool:
            ids = {"video_id": _uuid(rating.video_id), "user_id": _uuid(rating.user_id)}
            present = await self._call(self._services.ratings.GetUserRating, ratings_pb2.GetUserRatingRequest(**ids))
            if present.rating:
                return False
            await self._call(
                self._services.ratings.RateVideo, ratings_pb2.RateVideoRequest(**ids, rating=rating.rating)
            )
            return True

        self._count("ratings", len(ratings))
        # Ratings of one video that arrive together are written together.
        await self._each("ratings", sorted(ratings, key=lambda rating: rating.video_id), rate, self._options.at_once)

    async def _load_comments(self, comments: Sequence[Comment]) -> None:
        known: dict[UUID, asyncio.Task[CommentsThere]] = {}
        newest = await self._newest_date({comment.video_id for comment in comments})
        new_ids = ids_at_loading((comment.comment_id for comment in comments), newest)

        async def leave(comment: Comment) -> bool:
            video_id = comment.video_id
            if video_id not in known:
                known[video_id] = asyncio.create_task(self._known_comments(video_id))
            if comment.comment_id in await asyncio.shield(known[video_id]):
                return False
            await self._call(
                self._services.comments.CommentOnVideo,
                comments_pb2.CommentOnVideoRequest(
                    video_id=_uuid(video_id),
                    user_id=_uuid(comment.user_id),
                    comment_id=TimeUuid(value=str(new_ids[comment.comment_id])),
                    comment=comment.text,
                ),
            )
            return True

        self._count("comments", len(comments))
        try:
            await self._each(
                "comments",
                sorted(comments, key=lambda comment: new_ids[comment.comment_id].time),
                leave,
                self._options.at_once,
            )
        finally:
            for task in known.values():
                task.cancel()

    async def _newest_date(self, video_ids: Collection[UUID]) -> datetime:
        """When the last of these videos was submitted; the present where there is none of them."""
        dates: list[datetime] = []
        for some in _chunks(list(video_ids)):
            request = video_catalog_pb2.GetVideoPreviewsRequest(video_ids=map(_uuid, some))
            answer = await self._call(self._services.video_catalog.GetVideoPreviews, request)
            dates += (preview.added_date.ToDatetime(UTC) for preview in answer.video_previews)
        return max(dates, default=datetime.now(UTC))

    async def _known_comments(self, video_id: UUID) -> CommentsThere:
        known: list[UUID] = []
        request = comments_pb2.GetVideoCommentsRequest(video_id=_uuid(video_id), page_size=MOST_ROWS)
        while True:
            page = await self._call(self._services.comments.GetVideoComments, request)
            known += (UUID(comment.comment_id.value) for comment in page.comments)
            if not page.paging_state:
                return CommentsThere(known)
            request.paging_state = page.paging_state

    async def _load_plays(self, plays: Sequence[Plays]) -> None:
        """Add the plays that are missing.

        A play whose call failed may have been counted or not, so it is never sent again blindly: the numbers are read anew, and what is
        missing then is added.
        """
        wanted: dict[UUID, Plays] = {}
        for each in plays:
            if each.video_id not in wanted or each.views > wanted[each.video_id].views:
                wanted[each.video_id] = each
        missing = await self._missing_plays(wanted.values())
        count = self._count("plays", sum(map(self._views, wanted.values())))
        count.there = count.total - sum(number for _, number in missing)
        for _ in range(_PLAY_ROUNDS):
            if missing:
                single = (each for each, number in missing for _ in range(number))
                await self._each("plays", single, self._play, self._options.at_once)
                missing = await self._missing_plays(wanted.values())
                count.added = count.total - count.there - sum(number for _, number in missing)
        for each, number in missing:
            self._bad("plays", each.place, f"{number} plays were not counted", number)

    async def _missing_plays(self, plays: Iterable[Plays]) -> list[tuple[Plays, int]]:
        missing = []
        for some in _chunks(list(plays)):
            request = statistics_pb2.GetNumberOfPlaysRequest(video_ids=[_uuid(each.video_id) for each in some])
            answer = await self._call(self._services.statistics.GetNumberOfPlays, request)
            for each, present in zip(some, answer.stats, strict=True):
                if present.views < self._views(each):
                    missing.append((each, self._views(each) - present.views))
        return missing

    def _views(self, plays: Plays) -> int:
        return max(plays.views if self._options.most_plays is None else min(plays.views, self._options.most_plays), 0)

    async def _play(self, plays: Plays) -> bool | None:
        request = statistics_pb2.RecordPlaybackStartedRequest(video_id=_uuid(plays.video_id))
        try:
            await self._services.statistics.RecordPlaybackStarted(request, timeout=_CALL_SECONDS)
        except AioRpcError as error:
            if error.code() not in _TRANSIENT:
                raise Refused(str(error.details())) from error
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))
            return None
        return True

    async def _each(
        self, kind: str, items: Iterable[Read], work: Callable[[Read], Awaitable[bool | None]], at_once: int
    ) -> None:
        """Do `work` on each item, at most `at_once` at a time.

        It returns True for what it added, False for what was there, None if it is not known; what a service refuses is noted with its place.
        """
        count = self._progress.counts[kind]
        shared = iter(items)

        async def worker() -> None:
            for item in shared:
                try:
                    added = await work(item)
                except Refused as refusal:
                    self._bad(kind, item.place, str(refusal))
                else:
                    count.added += added is True
                    count.there += added is False
                    self._progress.tell(kind, count)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(at_once):
                    workers.create_task(worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _call(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """Make a call that may be repeated, again and again while its service is away. Raises Refused or ServicesAway."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._options.patience
        while True:
            try:
                return await method(request, timeout=_CALL_SECONDS)
            except AioRpcError as error:
                if error.code() not in _TRANSIENT:
                    raise Refused(str(error.details())) from error
                if loop.time() > give_up:
                    raise ServicesAway(f"{error.code().name}: {error.details()}") from error
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))

    def _count(self, kind: str, total: int) -> Count:
        count = self._progress.counts[kind] = Count(total)
        self._progress.tell(kind, count)
        return count

    def _bad(self, kind: str, place: Place, reason: str, number: int = 1) -> None:
        self._progress.counts[kind].skipped += number
        self._progress.bad_rows.append(BadRow(place, reason))
        self._progress.tell(kind, self._progress.counts[kind])


def _uuid(value: UUID) -> Uuid:
    return Uuid(value=str(value))


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in pieces that one call may ask for."""
    for start in range(0, len(items), MOST_IDS):
        yield items[start : start + MOST_IDS]
