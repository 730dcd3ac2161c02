"""What stands between the wire and every handler."""

from typing import Any

import grpc
import pytest

from protos import comments_pb2 as messages
from protos.comments_pb2_grpc import CommentsServiceServicer, add_CommentsServiceServicer_to_server
from tests.services.serving import bad_fields, serving


class Accepting(CommentsServiceServicer):
    """Takes every comment."""

    async def CommentOnVideo(
        self, request: messages.CommentOnVideoRequest, context: Any
    ) -> messages.CommentOnVideoResponse:
        """Does nothing."""
        return messages.CommentOnVideoResponse()


@pytest.mark.parametrize("sent", [b"\x22\x02\xff\xfe", b"\xff\xff"], ids=["a text that is no UTF-8", "no message"])
async def test_bytes_that_are_no_request_are_an_invalid_argument(sent: bytes) -> None:
    async with serving(Accepting(), add_CommentsServiceServicer_to_server) as channel:
        method: Any = channel.unary_unary
        call = method("/killrvideo.comments.CommentsService/CommentOnVideo")
        assert await call(b"") == b""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(sent)
    assert bad_fields(caught.value) == {"request"}
    assert "Unexpected" not in (caught.value.details() or "")
