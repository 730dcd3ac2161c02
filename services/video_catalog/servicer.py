"""The calls of VideoCatalogService."""

from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from common.ids import cassandra_uuid_order, uuid_message
from common.paging import PageTokens, Parts, identifier, integer, split_page
from common.requests import RequestReader
from common.timestamps import MAX_MS, MIN_MS, from_ms, timestamp_message, to_ms
from grpc_discovery import NotFound, shielded
from protos import video_catalog_pb2 as messages
from protos.common_pb2 import Uuid
from protos.video_catalog_pb2_grpc import VideoCatalogServiceServicer
from services.video_catalog.latest import latest_videos
from services.video_catalog.repository import (
    LatestVideoRow,
    ListKey,
    PreviewRow,
    Start,
    UserVideoRow,
)
from services.video_catalog.submissions import Submissions
from services.video_catalog.video import Submission

MAX_NAME_CHARACTERS = 1000
MAX_LOCATION_CHARACTERS = 1000
MAX_DESCRIPTION_CHARACTERS = 20_000
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 200

_LATEST = ""  # there is one list of latest videos, and this is its name in tokens


class VideoCatalogServicer(VideoCatalogServiceServicer):
    """Submitting videos, showing one, and listing those of a user and the latest, newest first."""

    def __init__(self, submissions: Submissions, paging_key: str, latest_days: int) -> None:
        self.submissions = submissions
        self._latest_days = latest_days
        self._user_page_tokens = PageTokens(paging_key, "GetUserVideoPreviews", _list_key)
        self._latest_page_tokens = PageTokens(paging_key, "GetLatestVideoPreviews", _list_key)

    async def SubmitYouTubeVideo(
        self, request: messages.SubmitYouTubeVideoRequest, context: Any
    ) -> messages.SubmitYouTubeVideoResponse:
        """Submit a video that is on YouTube. Its id there is not checked."""
        reader = RequestReader(request)
        location = reader.text("you_tube_video_id", MAX_LOCATION_CHARACTERS)
        preview = f"//img.youtube.com/vi/{location}/hqdefault.jpg"
        submission = _submission(reader, request, location, messages.YOUTUBE, preview)
        reader.raise_if_invalid()
        await shielded(self.submissions.submit(submission))
        return messages.SubmitYouTubeVideoResponse()

    async def SubmitUploadedVideo(
        self, request: messages.SubmitUploadedVideoRequest, context: Any
    ) -> messages.SubmitUploadedVideoResponse:
        """Submit a video that was uploaded somewhere on the web."""
        reader = RequestReader(request)
        location = reader.text("upload_url", MAX_LOCATION_CHARACTERS)
        if not _is_web_address(location):
            reader.add_violation("upload_url", "must be an http or https address")
        submission = _submission(reader, request, location, messages.UPLOAD, "")
        reader.raise_if_invalid()
        await shielded(self.submissions.submit(submission))
        return messages.SubmitUploadedVideoResponse()

    async def GetVideo(self, request: messages.GetVideoRequest, context: Any) -> messages.GetVideoResponse:
        """All of a video."""
        reader = RequestReader(request)
        video_id = reader.uuid("video_id")
        reader.raise_if_invalid()
        video = await self.submissions.videos.video(video_id)
        if video is None:
            raise NotFound(f"Video with id {request.video_id.value} was not found")
        return messages.GetVideoResponse(
            video_id=request.video_id,
            user_id=uuid_message(video.user_id),
            name=video.name,
            description=video.description,
            location=video.location,
            location_type=cast(messages.VideoLocationType.ValueType, video.location_type),
            tags=sorted(video.tags),
            added_date=timestamp_message(video.added_date),
        )

    async def GetVideoPreviews(
        self, request: messages.GetVideoPreviewsRequest, context: Any
    ) -> messages.GetVideoPreviewsResponse:
        """The known ones among some videos, in the order in which they were asked for."""
        reader = RequestReader(request)
        video_ids = reader.uuids("video_ids")
        reader.raise_if_invalid()
        found = await self.submissions.videos.previews(set(video_ids))
        return messages.GetVideoPreviewsResponse(
            video_previews=[
                _preview(found[video_id], sent, uuid_message(found[video_id].user_id))
                for video_id, sent in zip(video_ids, request.video_ids, strict=True)
                if video_id in found
            ]
        )

    async def GetLatestVideoPreviews(
        self, request: messages.GetLatestVideoPreviewsRequest, context: Any
    ) -> messages.GetLatestVideoPreviewsResponse:
        """A page of the latest videos of all users."""
        reader = RequestReader(request)
        size, first = reader.page_size(), _starting_key(reader)
        start = _start(first, reader.cursor(self._latest_page_tokens, _LATEST))
        reader.raise_if_invalid()
        rows, last = split_page(await latest_videos(self.submissions.videos, size + 1, self._latest_days, start), size)
        return messages.GetLatestVideoPreviewsResponse(
            video_previews=[_preview(row, uuid_message(row.video_id), uuid_message(row.user_id)) for row in rows],
            paging_state=self._latest_page_tokens.write(_LATEST, _parts(last)) if last else "",
        )

    async def GetUserVideoPreviews(
        self, request: messages.GetUserVideoPreviewsRequest, context: Any
    ) -> messages.GetUserVideoPreviewsResponse:
        """A page of a user's videos."""
        reader = RequestReader(request)
        user_id, size, first = reader.uuid("user_id"), reader.page_size(), _starting_key(reader)
        start = _start(first, reader.cursor(self._user_page_tokens, str(user_id), "user_id"))
        reader.raise_if_invalid()
        rows, last = split_page(await self.submissions.videos.of_user(user_id, size + 1, start), size)
        return messages.GetUserVideoPreviewsResponse(
            user_id=request.user_id,
            video_previews=[_preview(row, uuid_message(row.video_id), request.user_id) for row in rows],
            paging_state=self._user_page_tokens.write(str(user_id), _parts(last)) if last else "",
        )


def _submission(
    reader: RequestReader,
    request: messages.SubmitYouTubeVideoRequest | messages.SubmitUploadedVideoRequest,
    location: str,
    location_type: int,
    preview_image_location: str,
) -> Submission:
    """What both ways of submitting hold, and where the video is. Tags are trimmed; empty and repeated ones are left out."""
    tags = frozenset(filter(None, map(str.strip, request.tags)))
    if len(tags) > MAX_TAGS:
        reader.add_violation("tags", f"must be at most {MAX_TAGS}, not {len(tags):,}")
    if any(len(tag) > MAX_TAG_CHARACTERS for tag in tags):
        reader.add_violation("tags", f"must have at most {MAX_TAG_CHARACTERS} characters each")
    return Submission(
        reader.uuid("video_id"),
        reader.uuid("user_id"),
        reader.text("name", MAX_NAME_CHARACTERS),
        reader.text("description", MAX_DESCRIPTION_CHARACTERS, blank_allowed=True),
        location,
        location_type,
        preview_image_location,
        tags,
    )


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(map(str.isspace, text))
    except ValueError:
        return False


def _starting_key(reader: RequestReader) -> ListKey | None:
    """The starting point of the request. An id alone says nothing, because the date decides where the video stands in the list."""
    added_date = reader.optional_timestamp("starting_added_date")
    video_id = reader.optional_uuid("starting_video_id")
    return ListKey(added_date, video_id) if added_date else None


def _list_key(parts: Parts) -> ListKey:
    """What a token holds: where the last video of a page stands in its list."""
    added_ms, video_id = parts
    return ListKey(from_ms(integer(added_ms, MIN_MS, MAX_MS)), identifier(video_id))


def _start(first: ListKey | None, last: ListKey | None) -> Start | None:
    """Where a page begins: at the starting point, or behind the last row of the page before, whichever is further down the list."""
    if last is None:
        return Start(first, inclusive=True) if first else None
    return Start(first, inclusive=True) if first and _order(first) > _order(last) else Start(last, inclusive=False)


def _order(key: ListKey) -> tuple[Any, ...]:
    """Sorts keys as lists do: later in the list is greater."""
    newest_first = datetime.max - key.added_date
    return (newest_first, 1, cassandra_uuid_order(key.video_id)) if key.video_id else (newest_first, 0)


def _parts(row: UserVideoRow | LatestVideoRow) -> Parts:
    """The parts of the cursor behind a row; `_list_key` reads them."""
    return to_ms(row.added_date), UUID(row.video_id)


def _preview(row: PreviewRow | UserVideoRow | LatestVideoRow, video_id: Uuid, user_id: Uuid) -> messages.VideoPreview:
    """A preview of a row of any of the lists, with the ids as they are to be spelled."""
    return messages.VideoPreview(
        video_id=video_id,
        added_date=timestamp_message(row.added_date),
        name=row.name or "",
        preview_image_location=row.preview_image_location or "",
        user_id=user_id,
    )
