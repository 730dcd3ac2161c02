"""A line of calls that got too long is refused, a burst is not, and afterwards all is as before."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from common.line import MOST_CALLS
from common.server import new_server
from grpc import aio

from common.settings import Settings
from protos import ratings_pb2
from protos.ratings_pb2_grpc import RatingsServiceServicer, RatingsServiceStub, add_RatingsServiceServicer_to_server

WORK_SECONDS = 0.004


class Laborious(RatingsServiceServicer):
    """Works for a while on each call, without a pause in which others could be taken."""

    async def GetRating(self, request: ratings_pb2.GetRatingRequest, context: Any) -> ratings_pb2.GetRatingResponse:
        """Nothing but the time it takes."""
        until = time.perf_counter() + WORK_SECONDS
        while time.perf_counter() < until:
            pass
        return ratings_pb2.GetRatingResponse()


@pytest.fixture
async def rating() -> AsyncIterator[Any]:
    """A call of a server whose line is watched: its status."""
    server, interceptor = new_server(Settings.load())
    add_RatingsServiceServicer_to_server(Laborious(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    async with interceptor.line.watched(server), aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await server.start()
        stub: Any = RatingsServiceStub(channel)

        async def status() -> grpc.StatusCode:
            try:
                await stub.GetRating(ratings_pb2.GetRatingRequest(), timeout=60)
            except aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        yield status
        await server.stop(None)


async def test_of_a_line_that_is_too_long_some_are_served_and_the_rest_refused(
    rating: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outcomes = Counter(await asyncio.gather(*(rating() for _ in range(6 * MOST_CALLS))))
    assert set(outcomes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert outcomes[grpc.StatusCode.OK] >= MOST_CALLS
    assert 1 <= caplog.text.count("more calls than this instance can work on") <= 3, "a line for many"
    assert await rating() is grpc.StatusCode.OK


async def test_a_burst_is_worked_off_however_long_it_takes(rating: Any) -> None:
    assert set(await asyncio.gather(*(rating() for _ in range(MOST_CALLS)))) == {grpc.StatusCode.OK}
