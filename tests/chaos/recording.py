"""Callers that record what they call: begin, end and result of each call, for the judge."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4, uuid5

from grpc import StatusCode, aio

from client import Services
from protos import ratings_pb2 as ratings
from protos import user_management_pb2 as users
from protos import video_catalog_pb2 as videos
from protos.common_pb2 import Uuid
from tests.chaos.judging import Call

RATERS, ACCOUNT_CALLERS, SUBMITTERS = 8, 6, 6
_RATED = 6
_TIMEOUT = 5.0
_MAX_PAUSE_SECONDS = 8.0
_ADDRESS_SECONDS, _VIDEO_SECONDS = 4.0, 5.0
_REFUSED = {
    "create": StatusCode.ALREADY_EXISTS,
    "submit": StatusCode.ALREADY_EXISTS,
    "verify": StatusCode.UNAUTHENTICATED,
    "get": StatusCode.NOT_FOUND,
}


class Recorder:
    """While it is open, 20 callers rate a few videos, create users with a few addresses and submit a few videos, and read them all."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.history: list[Call] = []
        self._rated = [uuid4() for _ in range(_RATED)]
        self._began = time.monotonic()
        self._run = uuid4()
        self._unknown: Counter[int] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin to call."""
        callers = [self._rate_and_read] * RATERS + [self._create_and_verify] * ACCOUNT_CALLERS
        callers += [self._submit_and_get] * SUBMITTERS
        self._tasks = [asyncio.create_task(caller(number)) for number, caller in enumerate(callers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the callers; calls under way are given up, and their outcome stays unknown."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read_everything(self) -> None:
        """Read once more what has been written."""
        written = {(call.kind, call.key) for call in self.history}
        for kind, key in sorted(written):
            if kind == "rating":
                await self._totals(0, UUID(key))
            elif kind == "video":
                await self._get(0, UUID(key))
        created = {(call.key, call.text) for call in self.history if call.action == "create" and call.result == "ok"}
        for address, password in sorted(created):
            await self._verify(0, address, password)

    @property
    def answered(self) -> int:
        """How many calls were answered."""
        return sum(call.result != "unknown" for call in self.history)

    async def _rate_and_read(self, caller: int) -> None:
        user = uuid5(self._run, str(caller))
        while True:
            video = random.choice(self._rated)
            if random.random() < 0.5:
                rating = random.randint(1, 5)
                call = self._begin("rating", video, "rate", caller, user=str(user), number=rating)
                request = ratings.RateVideoRequest(video_id=_id(video), user_id=_id(user), rating=rating)
                await self._until_answered(call, partial(self._services.ratings.RateVideo, request, timeout=_TIMEOUT))
            else:
                call = await self._totals(caller, video)
            await self._pause(call, 0.3)

    async def _create_and_verify(self, caller: int) -> None:
        while True:
            slot = int((time.monotonic() - self._began) / _ADDRESS_SECONDS)
            address = f"{slot}-{random.randint(0, 1)}-{self._run}@example.org"
            password = f"the password {random.randint(0, 2)}"
            if random.random() < 0.4:
                user = uuid4()
                call = self._begin("account", address, "create", caller, user=str(user), text=password)
                names = {"first_name": "A", "last_name": "Caller", "email": address, "password": password}
                request = users.CreateUserRequest(user_id=_id(user), **names)
                await self._end(call, self._services.user_management.CreateUser(request, timeout=_TIMEOUT))
            else:
                call = await self._verify(caller, address, password)
            await self._pause(call, 0.8)

    async def _submit_and_get(self, caller: int) -> None:
        user = uuid5(self._run, f"user {caller % 3}")
        number = 0
        while True:
            slot = int((time.monotonic() - self._began) / _VIDEO_SECONDS)
            video = uuid5(self._run, f"{slot} {random.randint(0, 1)}")
            number += 1
            if random.random() < 0.5:
                name = f"Video {caller}.{number}"
                call = self._begin("video", video, "submit", caller, user=str(user), text=name)
                request = videos.SubmitYouTubeVideoRequest(
                    video_id=_id(video), user_id=_id(user), name=name, you_tube_video_id="abc"
                )
                await self._until_answered(
                    call, partial(self._services.video_catalog.SubmitYouTubeVideo, request, timeout=_TIMEOUT)
                )
            else:
                call = await self._get(caller, video)
            await self._pause(call, 0.5)

    async def _totals(self, caller: int, video: UUID) -> Call:
        call = self._begin("rating", video, "get", caller)
        request = ratings.GetRatingRequest(video_id=_id(video))
        answer = await self._end(call, self._services.ratings.GetRating(request, timeout=_TIMEOUT))
        if answer:
            call.number, call.total = answer.ratings_count, answer.ratings_total
        return call

    async def _verify(self, caller: int, address: str, password: str) -> Call:
        call = self._begin("account", address, "verify", caller, text=password)
        request = users.VerifyCredentialsRequest(email=address, password=password)
        answer = await self._end(call, self._services.user_management.VerifyCredentials(request, timeout=_TIMEOUT))
        if answer:
            call.user = answer.user_id.value
        return call

    async def _get(self, caller: int, video: UUID) -> Call:
        call = self._begin("video", video, "get", caller)
        request = videos.GetVideoRequest(video_id=_id(video))
        answer = await self._end(call, self._services.video_catalog.GetVideo(request, timeout=_TIMEOUT))
        if answer:
            call.user, call.text = answer.user_id.value, answer.name
        return call

    def _begin(self, kind: str, key: object, action: str, caller: int, **fields: Any) -> Call:
        call = Call(kind, str(key), action, caller, time.monotonic_ns(), **fields)
        self.history.append(call)
        return call

    async def _until_answered(self, call: Call, ask: Callable[[], Awaitable[Any]]) -> None:
        """Make the same write again until its result is known. Twice is the same as once, so all attempts are one long call.

        Each write that stays unknown may have happened at any time, or never, which doubles what the judge must try.
        """
        await self._end(call, ask())
        while call.result == "unknown":
            await asyncio.sleep(random.uniform(0.2, 1.0))
            call.end = 0
            await self._end(call, ask())

    async def _end(self, call: Call, answering: Awaitable[Any]) -> Any:
        """The answer, or None. A call that is not answered, or with an error that says nothing of its effect, has an unknown result."""
        try:
            answer = await answering
        except aio.AioRpcError as error:
            call.end = time.monotonic_ns()
            if error.code() == _REFUSED.get(call.action):
                call.result = "refused"
            return None
        call.end = time.monotonic_ns()
        call.result = "ok"
        return answer

    async def _pause(self, call: Call, seconds: float) -> None:
        """Wait before the next call: ever longer while results are unknown, because each of those makes a history harder to judge."""
        self._unknown[call.caller] = self._unknown[call.caller] + 1 if call.result == "unknown" else 0
        if unknown := self._unknown[call.caller]:
            await asyncio.sleep(min(_MAX_PAUSE_SECONDS, 2 ** (unknown - 1)))
        else:
            await asyncio.sleep(random.uniform(0, 2 * seconds))


def _id(value: UUID) -> Uuid:
    return Uuid(value=str(value))
