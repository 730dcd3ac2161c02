"""Servers in this process that stand for instances of the comments service."""

from grpc import aio

from discovery.tests.balancing import servers
from protos import comments_pb2 as comments
from protos import comments_pb2_grpc


class Instance(servers.Instance, comments_pb2_grpc.CommentsServiceServicer):
    """An instance that says in `paging_state` which it is. What it does besides: see the one of the library's tests."""

    def __init__(self) -> None:
        super().__init__()
        self.health_names = ["", "killrvideo.comments.CommentsService"]

    def add_to(self, server: aio.Server) -> None:
        """Add the comments service."""
        comments_pb2_grpc.add_CommentsServiceServicer_to_server(self, server)

    async def GetVideoComments(
        self,
        request: comments.GetVideoCommentsRequest,
        context: aio.ServicerContext,  # type: ignore[type-arg]
    ) -> comments.GetVideoCommentsResponse:
        """Say which instance it is."""
        await self._answer(context)
        return comments.GetVideoCommentsResponse(video_id=request.video_id, paging_state=self.address)
