"""Writes of every kind at fixed arrival rates, by callers with a deadline, and what is there of them afterwards."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid1, uuid4

from grpc import aio

from protos.common_pb2 import TimeUuid, Uuid
from tests.scenarios.wire import METHODS, OPTIONS, STUBS

SLUGS = ("comments", "ratings", "statistics", "user_management", "video_catalog")
"""The services that are written to."""

RATES = {"comment": 4.0, "rating": 4.0, "video": 2.0, "play": 5.0, "user": 1.0}
"""Calls a second."""

REPEATABLE = ("comment", "rating", "video")
"""Kinds of which the same write may be made again; of the others the result may stay unknown."""

_VIDEOS = 5
_PASSWORD = "a long enough password"


@dataclass
class Written:
    """One write: what it was, and how its call ended ("" while it has not)."""

    kind: str
    key: UUID
    user: UUID
    value: int = 0
    status: str = ""
    seconds: float = 0.0


class Calls:
    """Calls by name to one process that holds all services: `await calls("GetVideo", video_id=…)`, without a client's repetitions."""

    def __init__(self, address: str, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self._channel = aio.insecure_channel(address, OPTIONS)

    async def __call__(self, method: str, **fields: Any) -> Any:
        """The answer; raises AioRpcError."""
        service, module = METHODS[method]
        request = getattr(module, f"{method}Request")(**fields)
        return await getattr(STUBS[service][0](self._channel), method)(request, timeout=self.timeout)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close(grace=None)


class Writers:
    """While it is open, writes of each kind begin at their rates, however slow those before them are."""

    def __init__(self, calls: Calls, rate: float = sum(RATES.values())) -> None:
        """`rate` is how many writes a second there are in all."""
        self._calls, self._rate = calls, rate
        self.videos = [uuid4() for _ in range(_VIDEOS)]
        self.written: list[Written] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrivals: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin to write."""
        faster = self._rate / sum(RATES.values())
        self._arrivals = [asyncio.create_task(self._arrive(kind, rate * faster)) for kind, rate in RATES.items()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin no further writes and wait for those under way."""
        for task in self._arrivals:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._calls.timeout + 5)

    def of(self, *kinds: str) -> list[Written]:
        """The writes of some kinds."""
        return [write for write in self.written if write.kind in kinds]

    def failed(self, *kinds: str) -> int:
        """How many writes of some kinds were not acknowledged."""
        return sum(write.status != "OK" for write in self.of(*kinds))

    def __str__(self) -> str:
        """For the table: each kind with its failures."""
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        for write in self.written:
            outcomes[write.kind][write.status or "no end"] += 1
        return "; ".join(f"{kind}: {dict(counts)}" for kind, counts in outcomes.items())

    async def _arrive(self, kind: str, rate: float) -> None:
        began = time.monotonic()
        for number in range(1, 1_000_000):
            write = Written(kind, uuid1() if kind == "comment" else uuid4(), uuid4(), number % 5 + 1)
            if kind in ("rating", "play"):
                write.key = self.videos[number % _VIDEOS]
            self.written.append(write)
            task = asyncio.create_task(self._write(write))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))

    async def _write(self, write: Written) -> None:
        began = time.monotonic()
        try:
            await self._calls(*self._request(write)[:1], **self._request(write)[1])
            write.status = "OK"
        except aio.AioRpcError as error:
            write.status = error.code().name
        write.seconds = time.monotonic() - began

    def _request(self, write: Written) -> tuple[str, dict[str, Any]]:
        """The name of the call that makes a write, and its fields."""
        key, user = Uuid(value=str(write.key)), Uuid(value=str(write.user))
        if write.kind == "comment":
            comment = {"video_id": Uuid(value=str(self.videos[0])), "comment_id": TimeUuid(value=str(write.key))}
            return "CommentOnVideo", {**comment, "user_id": user, "comment": "a comment"}
        if write.kind == "rating":
            return "RateVideo", {"video_id": key, "user_id": user, "rating": write.value}
        if write.kind == "play":
            return "RecordPlaybackStarted", {"video_id": key}
        if write.kind == "user":
            names = {"first_name": "A", "last_name": "Writer", "email": address_of(write), "password": _PASSWORD}
            return "CreateUser", {"user_id": user, **names}
        video = {"name": f"Video {write.value}", "description": "One of many", "tags": ["trial", f"tag{write.value}"]}
        return "SubmitYouTubeVideo", {"video_id": key, "user_id": user, "you_tube_video_id": "abc", **video}

    async def lost(self) -> dict[str, int]:
        """How many acknowledged writes are not there, by kind."""
        checks: dict[str, Callable[[], Awaitable[int]]] = {
            "comment": self._lost_comments,
            "rating": self._lost_ratings,
            "video": self._lost_videos,
            "play": self._lost_plays,
            "user": self._lost_users,
        }
        found = {kind: await check() for kind, check in checks.items()}
        return {kind: count for kind, count in found.items() if count}

    async def doubled(self) -> dict[str, int]:
        """How many writes count more than once, by kind: comments, ratings and plays."""
        comments = await self._comments()
        found = {"comment": len(comments) - len(set(comments)), "rating": await self._wrong_totals(), "play": 0}
        for video, views in (await self._plays()).items():
            begun = sum(write.key == video for write in self.of("play"))
            found["play"] += max(0, views - begun)
        return {kind: count for kind, count in found.items() if count}

    def _acknowledged(self, kind: str) -> list[Written]:
        return [write for write in self.of(kind) if write.status == "OK"]

    async def _comments(self) -> list[str]:
        fields = {"video_id": Uuid(value=str(self.videos[0])), "page_size": 1000}
        return [comment.comment_id.value for comment in (await self._calls("GetVideoComments", **fields)).comments]

    async def _lost_comments(self) -> int:
        return len({str(write.key) for write in self._acknowledged("comment")} - set(await self._comments()))

    async def _rating(self, write: Written) -> int:
        ids = {"video_id": Uuid(value=str(write.key)), "user_id": Uuid(value=str(write.user))}
        return int((await self._calls("GetUserRating", **ids)).rating)

    async def _lost_ratings(self) -> int:
        return sum([await self._rating(write) != write.value for write in self._acknowledged("rating")])

    async def _wrong_totals(self) -> int:
        """By how much the totals of all videos differ from their ratings."""
        wrong = 0
        for video in self.videos:
            ratings = [await self._rating(write) for write in self.of("rating") if write.key == video]
            totals = await self._calls("GetRating", video_id=Uuid(value=str(video)))
            wrong += abs(totals.ratings_count - sum(rating > 0 for rating in ratings))
            wrong += abs(totals.ratings_total - sum(ratings))
        return wrong

    async def _lost_videos(self) -> int:
        lost = 0
        for write in self._acknowledged("video"):
            try:
                await self._calls("GetVideo", video_id=Uuid(value=str(write.key)))
            except aio.AioRpcError:
                lost += 1
        return lost

    async def _plays(self) -> dict[UUID, int]:
        ids = [Uuid(value=str(video)) for video in self.videos]
        stats = (await self._calls("GetNumberOfPlays", video_ids=ids)).stats
        return {UUID(video.video_id.value): video.views for video in stats}

    async def _lost_plays(self) -> int:
        plays = await self._plays()
        return sum(
            max(0, sum(write.key == video for write in self._acknowledged("play")) - plays.get(video, 0))
            for video in self.videos
        )

    async def _lost_users(self) -> int:
        lost = 0
        for write in self._acknowledged("user"):
            try:
                found = await self._calls("VerifyCredentials", email=address_of(write), password=_PASSWORD)
            except aio.AioRpcError:
                lost += 1
            else:
                lost += found.user_id.value != str(write.user)
        return lost


def address_of(write: Written) -> str:
    """The e-mail address of a user that is written."""
    return f"{write.user}@example.org"
