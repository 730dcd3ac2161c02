"""Loading a data set by the services' own calls. What is there already stays as it is, so a load that was stopped can simply be run again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from client import Services
from common.ids import time_uuid_message, uuid_message
from protos import comments_pb2, ratings_pb2, statistics_pb2, user_management_pb2, video_catalog_pb2
from sampledata.calls import MAX_IDS, Calls, Refused
from sampledata.comment_dates import CommentsThere, ids_at_loading
from sampledata.items import Comment, DataSet, Person, Plays, Rating, SourceLine, VideoItem
from sampledata.progress import Kind, LoadProgress

_PLAY_ROUNDS = 3
# Hashing passwords and claiming videos are the services' heavy work; more at once would only queue there.
_MAX_HEAVY_CALLS = 4
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


class _HasSource(Protocol):
    """Something read from a file."""

    @property
    def source(self) -> SourceLine:
        """Where it was read."""
        ...


Read = TypeVar("Read", bound=_HasSource)


@dataclass(frozen=True)
class Options:
    """How to load: `max_plays` for each video (None for as many as the files say), `max_calls` at a time, and for how many seconds a call is
    repeated while its service is away.
    """

    password: str
    max_plays: int | None = None
    max_calls: int = 32
    patience: float = 60.0


class Loader:
    """Loads one data set."""

    def __init__(self, services: Services, progress: LoadProgress, options: Options) -> None:
        self._services, self._progress, self._options = services, progress, options
        self._calls = Calls(services, options.patience)

    async def load(self, data: DataSet) -> None:
        """Load people, videos, ratings, comments and plays, in this order. Raises ServicesAway."""
        await self._load_people(data.people)
        await self._load_videos(data.videos)
        await self._load_ratings(data.ratings)
        await self._load_comments(data.comments)
        await self._load_plays(data.plays)

    async def is_wanted(self, data: DataSet) -> bool:
        """Whether the database is empty, or holds videos of this data set: a load that was stopped may have left out others. Raises ServicesAway."""
        some_ids = [video.video_id for video in data.videos[:MAX_IDS]]
        return await self._calls.is_empty() or bool(await self._calls.known_videos(some_ids))

    async def _load_people(self, people: Sequence[Person]) -> None:
        known = await self._calls.known_people([person.user_id for person in people])

        async def create(person: Person) -> bool:
            if person.user_id in known:
                return False
            request = user_management_pb2.CreateUserRequest(
                user_id=uuid_message(person.user_id),
                first_name=person.first_name,
                last_name=person.last_name,
                email=person.email,
                password=self._options.password,
            )
            try:
                await self._calls.repeated(self._services.user_management.CreateUser, request)
            except Refused:
                # If the answer to the first call was lost, the repeated one finds the user that the first created.
                if not await self._calls.known_people([person.user_id]):
                    raise
            return True

        self._progress.begin(Kind.PEOPLE, len(people))
        await self._for_all(Kind.PEOPLE, people, create, _MAX_HEAVY_CALLS)

    async def _load_videos(self, videos: Sequence[VideoItem]) -> None:
        known = await self._calls.known_videos([video.video_id for video in videos])

        async def submit(video: VideoItem) -> bool:
            if video.video_id in known:
                return False
            common: dict[str, Any] = {
                "video_id": uuid_message(video.video_id),
                "user_id": uuid_message(video.user_id),
                "name": video.name,
                "description": video.description,
                "tags": video.tags,
            }
            catalog = self._services.video_catalog
            if video.uploaded:
                uploaded = video_catalog_pb2.SubmitUploadedVideoRequest(**common, upload_url=video.location)
                await self._calls.repeated(catalog.SubmitUploadedVideo, uploaded)
            else:
                at_youtube = video_catalog_pb2.SubmitYouTubeVideoRequest(**common, you_tube_video_id=video.location)
                await self._calls.repeated(catalog.SubmitYouTubeVideo, at_youtube)
            return True

        self._progress.begin(Kind.VIDEOS, len(videos))
        # The services date a video when it is submitted: the oldest first, so that the newest of the set is the newest shown.
        oldest_first = sorted(videos, key=lambda video: video.added or _LONG_AGO)
        await self._for_all(Kind.VIDEOS, oldest_first, submit, _MAX_HEAVY_CALLS)

    async def _load_ratings(self, ratings: Sequence[Rating]) -> None:
        async def rate(rating: Rating) -> bool:
            ids = {"video_id": uuid_message(rating.video_id), "user_id": uuid_message(rating.user_id)}
            service = self._services.ratings
            present = await self._calls.repeated(service.GetUserRating, ratings_pb2.GetUserRatingRequest(**ids))
            if present.rating:
                return False
            await self._calls.repeated(service.RateVideo, ratings_pb2.RateVideoRequest(**ids, rating=rating.rating))
            return True

        self._progress.begin(Kind.RATINGS, len(ratings))
        # Ratings of one video that arrive together are written together.
        by_video = sorted(ratings, key=lambda rating: rating.video_id)
        await self._for_all(Kind.RATINGS, by_video, rate, self._options.max_calls)

    async def _load_comments(self, comments: Sequence[Comment]) -> None:
        known: dict[UUID, asyncio.Task[CommentsThere]] = {}
        newest = await self._calls.newest_date({comment.video_id for comment in comments})
        new_ids = ids_at_loading((comment.comment_id for comment in comments), newest)

        async def add(comment: Comment) -> bool:
            video_id = comment.video_id
            if video_id not in known:
                known[video_id] = asyncio.create_task(self._calls.known_comments(video_id))
            if comment.comment_id in await asyncio.shield(known[video_id]):
                return False
            await self._calls.repeated(
                self._services.comments.CommentOnVideo,
                comments_pb2.CommentOnVideoRequest(
                    video_id=uuid_message(video_id),
                    user_id=uuid_message(comment.user_id),
                    comment_id=time_uuid_message(new_ids[comment.comment_id]),
                    comment=comment.text,
                ),
            )
            return True

        self._progress.begin(Kind.COMMENTS, len(comments))
        oldest_first = sorted(comments, key=lambda comment: new_ids[comment.comment_id].time)
        try:
            await self._for_all(Kind.COMMENTS, oldest_first, add, self._options.max_calls)
        finally:
            for task in known.values():
                task.cancel()

    async def _load_plays(self, plays: Sequence[Plays]) -> None:
        """Add the plays that are missing.

        A play whose call failed may have been counted or not, so the call is never repeated: the numbers are read again, and the plays that are
        missing then are added.
        """
        wanted: dict[UUID, Plays] = {}
        for row in plays:
            if row.video_id not in wanted or row.views > wanted[row.video_id].views:
                wanted[row.video_id] = row
        missing = await self._missing_plays(wanted.values())
        count = self._progress.begin(Kind.PLAYS, sum(map(self._views, wanted.values())))
        count.there = count.total - sum(number for _, number in missing)
        for _ in range(_PLAY_ROUNDS):
            if missing:
                single = (row for row, number in missing for _ in range(number))
                await self._for_all(Kind.PLAYS, single, self._play, self._options.max_calls)
                missing = await self._missing_plays(wanted.values())
                count.added = count.total - count.there - sum(number for _, number in missing)
        for row, number in missing:
            self._progress.skip(Kind.PLAYS, row.source, f"{number} plays were not counted", number)

    async def _missing_plays(self, plays: Iterable[Plays]) -> list[tuple[Plays, int]]:
        rows = list(plays)
        counted = await self._calls.play_counts([row.video_id for row in rows])
        missing = ((row, self._views(row) - views) for row, views in zip(rows, counted, strict=True))
        return [(row, number) for row, number in missing if number > 0]

    def _views(self, plays: Plays) -> int:
        return max(plays.views if self._options.max_plays is None else min(plays.views, self._options.max_plays), 0)

    async def _play(self, plays: Plays) -> bool | None:
        request = statistics_pb2.RecordPlaybackStartedRequest(video_id=uuid_message(plays.video_id))
        return await self._calls.once(self._services.statistics.RecordPlaybackStarted, request) or None

    async def _for_all(
        self, kind: Kind, items: Iterable[Read], work: Callable[[Read], Awaitable[bool | None]], max_calls: int
    ) -> None:
        """Do `work` on all items, at most `max_calls` at a time.

        It returns True for what it added, False for what was there, None if that is not known; a row that a service refuses is skipped.
        """
        count = self._progress.counts[kind]
        shared = iter(items)

        async def worker() -> None:
            for item in shared:
                try:
                    added = await work(item)
                except Refused as refusal:
                    self._progress.skip(kind, item.source, str(refusal))
                else:
                    count.added += added is True
                    count.there += added is False
                    self._progress.changed(kind)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(max_calls):
                    workers.create_task(worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
