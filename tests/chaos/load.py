"""Calls at a fixed arrival rate, each counted: answered, failed with its status, or lost."""

import asyncio
import time
import uuid
from collections import Counter
from types import TracebackType
from typing import Self

from grpc import aio

from client import Services
from protos import comments_pb2 as comments
from protos.common_pb2 import TimeUuid, Uuid


class Load:
    """While it is open, `rate` calls a second begin, each at its time, however slow those before it are; every fifth writes a comment."""

    def __init__(self, services: Services, rate: float, timeout: float = 5.0) -> None:
        self.services, self.rate, self.timeout = services, rate, timeout
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.begun = 0
        self.video, self.user = str(uuid.uuid4()), str(uuid.uuid4())
        self.acknowledged: set[str] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._arrivals: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to make calls."""
        self._arrivals = asyncio.create_task(self._arrive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make no further calls and wait for those under way."""
        if self._arrivals:
            self._arrivals.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=self.timeout + 2)

    async def run(self, seconds: float) -> None:
        """Let calls arrive for so many seconds."""
        await asyncio.sleep(seconds)

    @property
    def failed(self) -> dict[str, int]:
        """Calls that did not get an answer, by status; `lost` are those that never ended."""
        failed = {status: count for status, count in self.outcomes.items() if status != "OK"}
        lost = self.begun - sum(self.outcomes.values())
        return failed | ({"lost": lost} if lost else {})

    def __str__(self) -> str:
        """For the table."""
        return f"{self.outcomes['OK']} of {self.begun} calls ok" + (f", failed: {self.failed}" if self.failed else "")

    async def lost_or_doubled(self) -> int:
        """Read the comments back: how many that were acknowledged are missing, or there twice."""
        found: list[str] = []
        state = ""
        while True:
            request = comments.GetVideoCommentsRequest(
                video_id=Uuid(value=self.video), page_size=1000, paging_state=state
            )
            page = await self.services.comments.GetVideoComments(request, timeout=20)
            found += [comment.comment_id.value for comment in page.comments]
            state = page.paging_state
            if not state:
                break
        return len(self.acknowledged - set(found)) + len(found) - len(set(found))

    async def _arrive(self) -> None:
        began = time.monotonic()
        while True:
            self.begun += 1
            task = asyncio.create_task(self._call(self.begun))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            await asyncio.sleep(max(0.0, began + self.begun / self.rate - time.monotonic()))

    async def _call(self, number: int) -> None:
        began = time.monotonic()
        try:
            if number % 5 == 0:
                comment_id = str(uuid.uuid1())
                request = comments.CommentOnVideoRequest(
                    video_id=Uuid(value=self.video),
                    user_id=Uuid(value=self.user),
                    comment_id=TimeUuid(value=comment_id),
                    comment=f"comment {number}",
                )
                await self.services.comments.CommentOnVideo(request, timeout=self.timeout)
                self.acknowledged.add(comment_id)
            else:
                read = comments.GetVideoCommentsRequest(video_id=Uuid(value=self.video), page_size=2)
                await self.services.comments.GetVideoComments(read, timeout=self.timeout)
            self.outcomes["OK"] += 1
        except aio.AioRpcError as error:
            self.outcomes[error.code().name] += 1
        self.seconds.append(time.monotonic() - began)
