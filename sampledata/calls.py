"""Calls to the services, repeated while a service is away, and what the services hold already."""

import asyncio
import random
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from grpc import StatusCode
from grpc.aio import AioRpcError, UnaryUnaryMultiCallable

from client import Services
from common.ids import uuid_message
from protos import comments_pb2, statistics_pb2, user_management_pb2, video_catalog_pb2
from sampledata.comment_dates import CommentsThere

MAX_IDS = 200
"""Ids in one call, as the services allow."""
MAX_ROWS = 1000
"""Rows of one page, as the services allow."""

_CALL_SECONDS = 10.0
_RETRY_SECONDS = (0.2, 1.0)
_TRANSIENT = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED, StatusCode.CANCELLED)

Item = TypeVar("Item")


class ServicesAway(Exception):
    """The services cannot be found, or do not answer. Nothing is lost: the same load, run again, continues."""


class Refused(Exception):
    """A service refused a row."""


class Calls:
    """Calls to the services. `patience` is for how many seconds a call is repeated while its service is away."""

    def __init__(self, services: Services, patience: float) -> None:
        self.services = services
        self._patience = patience

    async def repeated(self, method: UnaryUnaryMultiCallable[Any, Any], request: Message) -> Any:
        """Make a call that may be repeated, and return its answer. Raises Refused or ServicesAway."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience
        while True:
            try:
                return await method(request, timeout=_CALL_SECONDS)
            except AioRpcError as error:
                if error.code() not in _TRANSIENT:
                    raise Refused(str(error.details())) from error
                if loop.time() > give_up:
                    raise ServicesAway(f"{error.code().name}: {error.details()}") from error
            await _pause()

    async def once(self, method: UnaryUnaryMultiCallable[Any, Any], request: Message) -> bool:
        """Make a call that must not be repeated. Returns False if it is not known whether the service did it. Raises Refused."""
        try:
            await method(request, timeout=_CALL_SECONDS)
        except AioRpcError as error:
            if error.code() not in _TRANSIENT:
                raise Refused(str(error.details())) from error
            await _pause()
            return False
        return True

    async def is_empty(self) -> bool:
        """Whether there is no video."""
        request = video_catalog_pb2.GetLatestVideoPreviewsRequest(page_size=1)
        latest = await self.repeated(self.services.video_catalog.GetLatestVideoPreviews, request)
        return not latest.video_previews

    async def known_people(self, user_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these users there are."""
        known: set[UUID] = set()
        for ids in chunks(user_ids):
            request = user_management_pb2.GetUserProfileRequest(user_ids=map(uuid_message, ids))
            answer = await self.repeated(self.services.user_management.GetUserProfile, request)
            known.update(UUID(profile.user_id.value) for profile in answer.profiles)
        return known

    async def known_videos(self, video_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these videos there are."""
        return {UUID(preview.video_id.value) for preview in await self._previews(video_ids)}

    async def newest_date(self, video_ids: Collection[UUID]) -> datetime:
        """When the last of these videos was submitted; the present where there is none of them."""
        previews = await self._previews(list(video_ids))
        return max((preview.added_date.ToDatetime(UTC) for preview in previews), default=datetime.now(UTC))

    async def known_comments(self, video_id: UUID) -> CommentsThere:
        """The comments that a video has."""
        known: list[UUID] = []
        request = comments_pb2.GetVideoCommentsRequest(video_id=uuid_message(video_id), page_size=MAX_ROWS)
        while True:
            page = await self.repeated(self.services.comments.GetVideoComments, request)
            known += (UUID(comment.comment_id.value) for comment in page.comments)
            if not page.paging_state:
                return CommentsThere(known)
            request.paging_state = page.paging_state

    async def play_counts(self, video_ids: Sequence[UUID]) -> list[int]:
        """How often each of these videos was played, in their order."""
        counts: list[int] = []
        for ids in chunks(video_ids):
            request = statistics_pb2.GetNumberOfPlaysRequest(video_ids=map(uuid_message, ids))
            answer = await self.repeated(self.services.statistics.GetNumberOfPlays, request)
            counts += (stats.views for stats in answer.stats)
        return counts

    async def _previews(self, video_ids: Sequence[UUID]) -> list[video_catalog_pb2.VideoPreview]:
        previews: list[video_catalog_pb2.VideoPreview] = []
        for ids in chunks(video_ids):
            request = video_catalog_pb2.GetVideoPreviewsRequest(video_ids=map(uuid_message, ids))
            answer = await self.repeated(self.services.video_catalog.GetVideoPreviews, request)
            previews += answer.video_previews
        return previews


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in pieces that one call may ask for."""
    for start in range(0, len(items), MAX_IDS):
        yield items[start : start + MAX_IDS]


async def _pause() -> None:
    await asyncio.sleep(random.uniform(*_RETRY_SECONDS))
