"""How large requests and answers get: the largest valid request is taken, a larger one refused, and our client takes the largest answer."""

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid1, uuid4

import grpc
import pytest
from grpc import aio

from client import BlockingServices, Services
from common.database import IdText
from common.paging import MAX_TOKEN_CHARACTERS
from common.requests import MAX_PAGE_SIZE
from common.settings import Settings
from protos import comments_pb2, search_pb2, video_catalog_pb2
from protos.comments_pb2_grpc import add_CommentsServiceServicer_to_server
from protos.common_pb2 import Uuid
from protos.video_catalog_pb2_grpc import VideoCatalogServiceStub, add_VideoCatalogServiceServicer_to_server
from services.comments.repository import VideoCommentRow
from services.comments.servicer import MAX_CHARACTERS, CommentsServicer
from services.search.servicer import MAX_QUERY_CHARACTERS
from services.video_catalog import servicer as video_catalog
from services.video_catalog.video import Submission
from tests.services.serving import bad_fields, served_at, serving

if TYPE_CHECKING:
    from protos.video_catalog_pb2_grpc import VideoCatalogServiceAsyncStub

WIDEST = "\U0001f600"
"""A character of four bytes."""

MAX_REQUEST = Settings.load().serving.max_request


def largest_submission() -> video_catalog_pb2.SubmitYouTubeVideoRequest:
    """All texts at their limits, of the widest characters."""
    return video_catalog_pb2.SubmitYouTubeVideoRequest(
        video_id=Uuid(value=str(uuid4())),
        user_id=Uuid(value=str(uuid4())),
        name=WIDEST * video_catalog.MAX_NAME_CHARACTERS,
        description=WIDEST * video_catalog.MAX_DESCRIPTION_CHARACTERS,
        you_tube_video_id=WIDEST * video_catalog.MAX_LOCATION_CHARACTERS,
        tags=[
            f"{number:04}".ljust(video_catalog.MAX_TAG_CHARACTERS, WIDEST) for number in range(video_catalog.MAX_TAGS)
        ],
    )


class Submitted:
    """Takes submissions and keeps none."""

    def __init__(self) -> None:
        self.count = 0

    async def submit(self, submission: Submission) -> None:
        self.count += 1


async def test_the_largest_valid_request_is_taken_and_a_larger_one_is_refused_before_it_is_read() -> None:
    submitted = Submitted()
    servicer = video_catalog.VideoCatalogServicer(submitted, "key", 30)  # type: ignore[arg-type]  # a fake
    async with serving(servicer, add_VideoCatalogServiceServicer_to_server) as channel:
        stub: VideoCatalogServiceAsyncStub = VideoCatalogServiceStub(channel)
        request = largest_submission()
        assert request.ByteSize() < MAX_REQUEST / 2
        await stub.SubmitYouTubeVideo(request, timeout=10)
        request.tags.extend(["again" * 1000] * 100)
        assert request.ByteSize() > MAX_REQUEST
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.SubmitYouTubeVideo(request, timeout=10)
        assert bad_fields(refused.value) == {"request"}
        assert refused.value.details() == f"request has {request.ByteSize():,} bytes; at most {MAX_REQUEST:,} are taken"
        request.description = "x" * 4_200_000
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.SubmitYouTubeVideo(request, timeout=10)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, "above 4 MiB gRPC refuses by itself"
        assert submitted.count == 1


def test_a_query_with_the_longest_token_is_no_larger() -> None:
    request = search_pb2.SearchVideosRequest(
        query=WIDEST * MAX_QUERY_CHARACTERS, page_size=MAX_PAGE_SIZE, paging_state="x" * MAX_TOKEN_CHARACTERS
    )
    assert request.ByteSize() < MAX_REQUEST


class LongComments:
    """As many comments on every video as are asked for, all as long as they may be."""

    async def of_video(self, video_id: UUID, limit: int, *_: Any) -> list[VideoCommentRow]:
        return [VideoCommentRow(uuid1(), IdText(str(uuid4())), WIDEST * MAX_CHARACTERS) for _ in range(limit)]


async def test_our_clients_take_the_largest_answer() -> None:
    servicer = CommentsServicer(LongComments(), "key")  # type: ignore[arg-type]  # a fake
    async with served_at(servicer, add_CommentsServiceServicer_to_server) as address:
        settings = Settings.load(discovery="static", static_services=f"CommentsService={address}")
        request = comments_pb2.GetVideoCommentsRequest(video_id=Uuid(value=str(uuid4())), page_size=MAX_PAGE_SIZE)
        async with Services.from_settings(settings) as services:
            answer = await services.comments.GetVideoComments(request, timeout=20)
        assert len(answer.comments) == MAX_PAGE_SIZE
        size = len(WIDEST.encode()) * MAX_CHARACTERS * MAX_PAGE_SIZE
        assert answer.ByteSize() > size

        def without_asyncio() -> int:
            with BlockingServices.from_settings(settings) as services:
                return services.comments.GetVideoComments(request, timeout=20).ByteSize()

        assert await asyncio.to_thread(without_asyncio) > size
