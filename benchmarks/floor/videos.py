"""Videos at the floor."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from benchmarks.floor.session import Session, now, timestamp_message
from protos import video_catalog_pb2
from protos.common_pb2 import Uuid
from protos.video_catalog_pb2_grpc import VideoCatalogServiceServicer
from services.video_catalog import repository as videos
from services.video_catalog.index_plan import Step, steps_to_write
from services.video_catalog.video import Video


class VideoCatalog(VideoCatalogServiceServicer):
    """Videos at the floor."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parts: tuple[list[Step], ...] = ()

    async def SubmitYouTubeVideo(
        self, request: video_catalog_pb2.SubmitYouTubeVideoRequest, context: Any
    ) -> video_catalog_pb2.SubmitYouTubeVideoResponse:
        """Write as our service does; the steps are planned at the first call, because all videos submitted here have the same words."""
        video_id, user_id = UUID(request.video_id.value), UUID(request.user_id.value)
        claim = uuid4()
        if not self._parts:
            location = request.you_tube_video_id
            preview = f"//img.youtube.com/vi/{location}/hqdefault.jpg"
            self._template = Video(
                UUID(int=0),
                user_id,
                request.name,
                request.description,
                location,
                0,
                preview,
                frozenset(request.tags),
                now(),
            )
            steps, _ = steps_to_write(self._template, None)
            self._parts = (steps.before, steps.together)
        await self._session.run(videos.CLAIM, video_id, claim, user_id, now())
        await self._session.run(videos.VIDEO, video_id)
        template_id = self._template.video_id
        for part in filter(None, self._parts):
            await self._session.batch(
                [(write, [video_id if value == template_id else value for value in values]) for write, values in part]
            )
        await self._session.run(videos.RELEASE, video_id, claim)
        return video_catalog_pb2.SubmitYouTubeVideoResponse()

    async def GetVideo(
        self, request: video_catalog_pb2.GetVideoRequest, context: Any
    ) -> video_catalog_pb2.GetVideoResponse:
        """Read one row."""
        [row] = await self._session.run(videos.VIDEO, UUID(request.video_id.value))
        return video_catalog_pb2.GetVideoResponse(
            video_id=request.video_id,
            user_id=Uuid(value=str(row[1])),
            name=row[2],
            description=row[3],
            location=row[4],
            location_type=row[5],
            tags=sorted(row[7] or ()),
            added_date=timestamp_message(row[8]),
        )

    async def GetVideoPreviews(
        self, request: video_catalog_pb2.GetVideoPreviewsRequest, context: Any
    ) -> video_catalog_pb2.GetVideoPreviewsResponse:
        """Read rows by key."""
        ids = [UUID(video_id.value) for video_id in request.video_ids]
        rows = {row[0]: row for row in await self._session.run(videos.PREVIEWS, ids)}
        return video_catalog_pb2.GetVideoPreviewsResponse(
            video_previews=[
                _preview(rows[video_id], sent, Uuid(value=str(rows[video_id][4])))
                for sent, video_id in zip(request.video_ids, ids, strict=True)
                if video_id in rows
            ]
        )

    async def GetLatestVideoPreviews(
        self, request: video_catalog_pb2.GetLatestVideoPreviewsRequest, context: Any
    ) -> video_catalog_pb2.GetLatestVideoPreviewsResponse:
        """Read today's list, and the days before until the page is full."""
        rows: list[Any] = []
        day = datetime.now(UTC).date()
        while len(rows) <= request.page_size:
            rows += await self._session.run(videos.OF_DAY, f"{day:%Y%m%d}", request.page_size + 1 - len(rows))
            day -= timedelta(days=1)
        return video_catalog_pb2.GetLatestVideoPreviewsResponse(
            video_previews=[
                _preview(row, Uuid(value=str(row[0])), Uuid(value=str(row[4]))) for row in rows[: request.page_size]
            ]
        )

    async def GetUserVideoPreviews(
        self, request: video_catalog_pb2.GetUserVideoPreviewsRequest, context: Any
    ) -> video_catalog_pb2.GetUserVideoPreviewsResponse:
        """Read the list of a user."""
        rows = await self._session.run(videos.OF_USER, UUID(request.user_id.value), request.page_size + 1)
        return video_catalog_pb2.GetUserVideoPreviewsResponse(
            user_id=request.user_id,
            video_previews=[
                _preview(row, Uuid(value=str(row[0])), request.user_id) for row in rows[: request.page_size]
            ],
        )


def _preview(row: Any, video_id: Uuid, user_id: Uuid) -> video_catalog_pb2.VideoPreview:
    return video_catalog_pb2.VideoPreview(
        video_id=video_id,
        added_date=timestamp_message(row[1]),
        name=row[2],
        preview_image_location=row[3],
        user_id=user_id,
    )
