"""The services of these tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from protos.comments_pb2_grpc import add_CommentsServiceServicer_to_server
from protos.ratings_pb2_grpc import add_RatingsServiceServicer_to_server
from protos.statistics_pb2_grpc import add_StatisticsServiceServicer_to_server
from protos.user_management_pb2_grpc import add_UserManagementServiceServicer_to_server
from protos.video_catalog_pb2_grpc import add_VideoCatalogServiceServicer_to_server
from tests.sampledata.fakes import FakeServices
from tests.services.serving import served_at


@pytest.fixture
async def fakes() -> AsyncIterator[FakeServices]:
    fakes = FakeServices()
    async with AsyncExitStack() as stack:
        for service, servicer, register in (
            ("UserManagementService", fakes.users, add_UserManagementServiceServicer_to_server),
            ("VideoCatalogService", fakes.videos, add_VideoCatalogServiceServicer_to_server),
            ("RatingsService", fakes.ratings, add_RatingsServiceServicer_to_server),
            ("CommentsService", fakes.comments, add_CommentsServiceServicer_to_server),
            ("StatisticsService", fakes.statistics, add_StatisticsServiceServicer_to_server),
        ):
            fakes.addresses[service] = await stack.enter_async_context(served_at(servicer, register))
        yield fakes
