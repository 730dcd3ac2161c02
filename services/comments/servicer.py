"""The calls of CommentsService."""

from typing import Any
from uuid import UUID

from common.ids import cassandra_time_uuid_order, time_uuid_message, uuid_message
from common.paging import PageTokens, Parts, identifier, split_page
from common.requests import RequestReader
from common.timestamps import time_uuid_timestamp
from grpc_discovery import AlreadyExists, shielded
from protos import comments_pb2 as messages
from protos.comments_pb2_grpc import CommentsServiceServicer
from services.comments.repository import CommentsRepository

MAX_CHARACTERS = 5000


class CommentsServicer(CommentsServiceServicer):
    """Leaving comments, and listing those of a user or a video, newest first."""

    def __init__(self, repository: CommentsRepository, paging_key: str) -> None:
        self._repository = repository
        self._user_page_tokens = PageTokens(paging_key, "GetUserComments", _comment_id)
        self._video_page_tokens = PageTokens(paging_key, "GetVideoComments", _comment_id)

    async def CommentOnVideo(
        self, request: messages.CommentOnVideoRequest, context: Any
    ) -> messages.CommentOnVideoResponse:
        """Leave a comment; the same comment_id of the same user on the same video again overwrites."""
        reader = RequestReader(request)
        video_id, user_id = reader.uuid("video_id"), reader.uuid("user_id")
        comment_id = reader.time_uuid("comment_id")
        comment = reader.text("comment", MAX_CHARACTERS)
        reader.raise_if_invalid()
        if not await shielded(self._repository.add(video_id, user_id, comment_id, comment)):
            raise AlreadyExists(f"Another user's comment has the id {comment_id}")
        return messages.CommentOnVideoResponse()

    async def GetUserComments(
        self, request: messages.GetUserCommentsRequest, context: Any
    ) -> messages.GetUserCommentsResponse:
        """A page of what a user has commented."""
        reader = RequestReader(request)
        user_id, size = reader.uuid("user_id"), reader.page_size()
        start = reader.optional_time_uuid("starting_comment_id")
        after = reader.cursor(self._user_page_tokens, str(user_id), "user_id")
        reader.raise_if_invalid()
        rows, last = split_page(await self._repository.of_user(user_id, size + 1, *_later(start, after)), size)
        return messages.GetUserCommentsResponse(
            user_id=request.user_id,
            comments=[
                messages.UserComment(
                    comment_id=time_uuid_message(row.comment_id),
                    video_id=uuid_message(row.video_id),
                    comment=row.comment,
                    comment_timestamp=time_uuid_timestamp(row.comment_id),
                )
                for row in rows
            ],
            paging_state=self._user_page_tokens.write(str(user_id), (last.comment_id,)) if last else "",
        )

    async def GetVideoComments(
        self, request: messages.GetVideoCommentsRequest, context: Any
    ) -> messages.GetVideoCommentsResponse:
        """A page of the comments on a video."""
        reader = RequestReader(request)
        video_id, size = reader.uuid("video_id"), reader.page_size()
        start = reader.optional_time_uuid("starting_comment_id")
        after = reader.cursor(self._video_page_tokens, str(video_id), "video_id")
        reader.raise_if_invalid()
        rows, last = split_page(await self._repository.of_video(video_id, size + 1, *_later(start, after)), size)
        return messages.GetVideoCommentsResponse(
            video_id=request.video_id,
            comments=[
                messages.VideoComment(
                    comment_id=time_uuid_message(row.comment_id),
                    user_id=uuid_message(row.user_id),
                    comment=row.comment,
                    comment_timestamp=time_uuid_timestamp(row.comment_id),
                )
                for row in rows
            ],
            paging_state=self._video_page_tokens.write(str(video_id), (last.comment_id,)) if last else "",
        )


def _comment_id(parts: Parts) -> UUID:
    """What a token holds: the id of the last comment of a page."""
    [comment_id] = parts
    return identifier(comment_id, version=1)


def _later(start: UUID | None, after: UUID | None) -> tuple[UUID | None, UUID | None]:
    """Where a list begins: (start, None) or (None, after), whichever of the starting point and the token lies further on."""
    if start and after:
        # Newest first: further on is older. The starting point is inclusive, so at the same comment the token is further on.
        return (start, None) if cassandra_time_uuid_order(start) < cassandra_time_uuid_order(after) else (None, after)
    return start, after
