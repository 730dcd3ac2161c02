"""The calls of SuggestedVideoService."""

from typing import Any

from common.ids import uuid_message
from common.paging import PageTokens, Parts, integer
from common.requests import RequestReader
from common.ring_sample import RING_START
from common.timestamps import MAX_MS, MIN_MS, from_ms, timestamp_message, to_ms
from protos import suggested_videos_pb2 as messages
from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceServicer
from services.explanation import explain, explanation_wanted
from services.suggested_videos.list_keeper import RELATED, SUGGESTED, ListCursor, Page, PageRequest
from services.suggested_videos.list_repository import POPULAR
from services.suggested_videos.ranked_list import MAX_LISTED
from services.suggested_videos.recommender import Recommender
from services.suggested_videos.rows import PreviewRow


class SuggestedVideosServicer(SuggestedVideoServiceServicer):
    """Videos like another one, and videos for a person, best first."""

    def __init__(self, recommender: Recommender, paging_key: str) -> None:
        self._recommender = recommender
        self._related_page_tokens = PageTokens(paging_key, "GetRelatedVideos", _related_cursor)
        self._suggested_page_tokens = PageTokens(paging_key, "GetSuggestedForUser", _suggested_cursor)

    async def GetRelatedVideos(
        self, request: messages.GetRelatedVideosRequest, context: Any
    ) -> messages.GetRelatedVideosResponse:
        """A page of the videos like one; none for an unknown video."""
        reader = RequestReader(request)
        video_id, size = reader.uuid("video_id"), reader.page_size()
        cursor = reader.cursor(self._related_page_tokens, str(video_id), "video_id")
        reader.raise_if_invalid()
        page = await self._recommender.related(video_id, cursor, PageRequest(size, None, explanation_wanted(context)))
        _explain(page, context)
        return messages.GetRelatedVideosResponse(
            video_id=request.video_id,
            videos=[_preview(row) for row in page.videos],
            paging_state=self._related_page_tokens.write(str(video_id), (to_ms(page.next.made_at), page.next.offset))
            if page.next
            else "",
        )

    async def GetSuggestedForUser(
        self, request: messages.GetSuggestedForUserRequest, context: Any
    ) -> messages.GetSuggestedForUserResponse:
        """A page of videos for a person, none that they have rated or submitted; of popular ones for an unknown user."""
        reader = RequestReader(request)
        user_id, size = reader.uuid("user_id"), reader.page_size()
        cursor = reader.cursor(self._suggested_page_tokens, str(user_id), "user_id")
        reader.raise_if_invalid()
        wanted = PageRequest(size, user_id, explanation_wanted(context))
        page = await self._recommender.suggested(user_id, cursor, wanted)
        _explain(page, context)
        return messages.GetSuggestedForUserResponse(
            user_id=request.user_id,
            videos=[_preview(row) for row in page.videos],
            paging_state=self._suggested_page_tokens.write(
                str(user_id), (page.next.kind, to_ms(page.next.made_at), page.next.offset, *_after(page.next))
            )
            if page.next
            else "",
        )


def _related_cursor(parts: Parts) -> ListCursor:
    made_ms, offset = parts
    return ListCursor(RELATED, from_ms(integer(made_ms, MIN_MS, MAX_MS)), integer(offset, 0, MAX_LISTED))


def _suggested_cursor(parts: Parts) -> ListCursor:
    kind, made_ms, offset, *rest = parts
    if len(rest) > 1 or kind not in (SUGGESTED, POPULAR.kind):
        raise ValueError("is no kind of list for a person")
    after = integer(rest[0], RING_START, -RING_START - 1) if rest else None
    return ListCursor(str(kind), from_ms(integer(made_ms, MIN_MS, MAX_MS)), integer(offset, 0, MAX_LISTED), after)


def _after(cursor: ListCursor) -> tuple[int, ...]:
    """The last part of a token that leads behind the end of a list."""
    return () if cursor.after is None else (cursor.after,)


def _preview(row: PreviewRow) -> messages.SuggestedVideoPreview:
    return messages.SuggestedVideoPreview(
        video_id=uuid_message(row.video_id),
        added_date=timestamp_message(row.added_date) if row.added_date else None,
        name=row.name or "",
        preview_image_location=row.preview_image_location or "",
        user_id=uuid_message(row.user_id),
    )


def _explain(page: Page, context: Any) -> None:
    """Say why each video of the page is there, if the caller asked."""
    if explanation_wanted(context):
        explain(
            context, ({"video_id": str(row.video_id), **page.reasons.get(str(row.video_id), {})} for row in page.videos)
        )
