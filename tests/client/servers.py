"""Servers in this process that stand for instances: the comments service on a list in memory, with its health, on any port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from infra.ports import free_port
from protos import comments_pb2 as comments
from protos import comments_pb2_grpc, statistics_pb2, statistics_pb2_grpc

NAMES = ("", "killrvideo.comments.CommentsService", "killrvideo.statistics.StatisticsService")


class Instance(comments_pb2_grpc.CommentsServiceServicer, statistics_pb2_grpc.StatisticsServiceServicer):
    """An instance that answers after `takes` seconds, or fails with `status`, and counts what it was asked."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.takes = 0.0
        self.status: grpc.StatusCode | None = None
        self.asked = 0
        self.shown: str | bytes = ""
        self.stored: list[str] = []
        self.health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs leave it out
        self._server: aio.Server | None = None

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Serve, with TLS if there are credentials."""
        self._server = aio.server(options=[("grpc.so_reuseport", 0), ("grpc.http2.max_ping_strikes", 0)])
        comments_pb2_grpc.add_CommentsServiceServicer_to_server(self, self._server)
        statistics_pb2_grpc.add_StatisticsServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        if credentials:
            assert self._server.add_secure_port(self.address, credentials)
        else:
            assert self._server.add_insecure_port(self.address)
        await self.set_health(True)
        await self._server.start()

    async def set_health(self, serving: bool) -> None:
        """Tell callers whether it serves."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in NAMES:
            await self.health.set(name, status)

    async def stop(self, grace: float | None = None) -> None:
        """Stop serving; calls under way have `grace` seconds."""
        if self._server:
            await self._server.stop(grace)

    async def _answer(self, context: grpc.aio.ServicerContext) -> None:  # type: ignore[type-arg]
        self.asked += 1
        self.shown = dict(context.invocation_metadata() or ()).get("authorization", "")
        await asyncio.sleep(self.takes)
        if self.status:
            await context.abort(self.status, "as the test wants it")

    async def GetVideoComments(
        self, request: comments.GetVideoCommentsRequest, context: object
    ) -> comments.GetVideoCommentsResponse:
        """Say which instance it is."""
        await self._answer(context)  # type: ignore[arg-type]
        return comments.GetVideoCommentsResponse(video_id=request.video_id, paging_state=self.address)

    async def CommentOnVideo(
        self, request: comments.CommentOnVideoRequest, context: object
    ) -> comments.CommentOnVideoResponse:
        """Keep the comment."""
        await self._answer(context)  # type: ignore[arg-type]
        self.stored.append(request.comment)
        return comments.CommentOnVideoResponse()

    async def RecordPlaybackStarted(
        self, request: object, context: object
    ) -> statistics_pb2.RecordPlaybackStartedResponse:
        """Count."""
        await self._answer(context)  # type: ignore[arg-type]
        return statistics_pb2.RecordPlaybackStartedResponse()


@asynccontextmanager
async def instances(count: int) -> AsyncIterator[list[Instance]]:
    """So many instances that serve."""
    started = [Instance() for _ in range(count)]
    for instance in started:
        await instance.start()
    try:
        yield started
    finally:
        for instance in started:
            await instance.stop()
