"""VideoCatalogService over the wire, on videos kept in a dict."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import grpc
import pytest
from grpc import aio

from common.database import IdText
from common.timestamps import now
from protos import video_catalog_pb2 as messages
from protos.common_pb2 import Uuid
from protos.video_catalog_pb2_grpc import VideoCatalogServiceStub, add_VideoCatalogServiceServicer_to_server
from services.video_catalog.latest import latest_videos
from services.video_catalog.repository import LatestVideoRow, PreviewRow, Start, UserVideoRow
from services.video_catalog.servicer import VideoCatalogServicer
from services.video_catalog.video import Submission, Video
from tests.services.serving import bad_fields, serving

if TYPE_CHECKING:
    from protos.video_catalog_pb2_grpc import VideoCatalogServiceAsyncStub


class VideosInADict:
    """What the repository does, in memory."""

    def __init__(self) -> None:
        self.videos: dict[UUID, Video] = {}

    async def video(self, video_id: UUID) -> Video | None:
        return self.videos.get(video_id)

    async def previews(self, video_ids: Iterable[UUID]) -> dict[UUID, PreviewRow]:
        return {video_id: self._preview(self.videos[video_id]) for video_id in video_ids if video_id in self.videos}

    async def of_user(self, user_id: UUID, limit: int, start: Start | None) -> list[UserVideoRow]:
        rows = [self._preview(video) for video in self.videos.values() if video.user_id == user_id]
        return [UserVideoRow(IdText(str(row.video_id)), *row[1:4]) for row in self._from(start, rows)[:limit]]

    async def of_day(self, day: str, limit: int, start: Start | None = None) -> list[LatestVideoRow]:
        rows = [self._preview(video) for video in self.videos.values() if f"{video.added_date:%Y%m%d}" == day]
        return [LatestVideoRow(IdText(str(row.video_id)), *row[1:]) for row in self._from(start, rows)[:limit]]

    @staticmethod
    def _preview(video: Video) -> PreviewRow:
        return PreviewRow(
            video.video_id,
            video.added_date,
            video.name,
            video.preview_image_location or None,
            IdText(str(video.user_id)),
        )

    @staticmethod
    def _from(start: Start | None, rows: list[PreviewRow]) -> list[PreviewRow]:
        rows.sort(key=lambda row: row.added_date, reverse=True)
        if start is None:
            return rows
        first = start.key.added_date
        return [row for row in rows if row.added_date < first or (start.inclusive and row.added_date == first)]


class SubmissionsToADict:
    """What Submissions does, in memory; the oldest video was submitted first, one a minute, all of them today."""

    def __init__(self, videos: VideosInADict) -> None:
        self.videos = videos

    async def submit(self, submission: Submission) -> None:
        when = now().replace(hour=0, minute=0, second=0) + timedelta(minutes=len(self.videos.videos))
        self.videos.videos[submission.video_id] = Video(**vars(submission), added_date=when)


@pytest.fixture
def videos() -> VideosInADict:
    return VideosInADict()


@pytest.fixture
async def stub(videos: VideosInADict) -> AsyncIterator["VideoCatalogServiceAsyncStub"]:
    servicer = VideoCatalogServicer(SubmissionsToADict(videos), "key", 30)  # type: ignore[arg-type]  # a fake
    async with serving(servicer, add_VideoCatalogServiceServicer_to_server) as channel:
        yield VideoCatalogServiceStub(channel)


def new_id() -> Uuid:
    return Uuid(value=str(uuid4()).upper())


def youtube(**fields: Any) -> messages.SubmitYouTubeVideoRequest:
    return messages.SubmitYouTubeVideoRequest(
        **{"video_id": new_id(), "user_id": new_id(), "name": "n", "you_tube_video_id": "y", **fields}
    )


async def test_a_youtube_video_is_shown_as_submitted_with_its_id_as_sent(stub: "VideoCatalogServiceAsyncStub") -> None:
    sent = youtube(name=" Näme ", description="a\nb", tags=[" x ", "y", "x", " "], you_tube_video_id="https://y/1")
    await stub.SubmitYouTubeVideo(sent)
    video = await stub.GetVideo(messages.GetVideoRequest(video_id=sent.video_id))
    assert (video.video_id, video.user_id.value) == (sent.video_id, sent.user_id.value.lower())
    assert (video.name, video.description, video.location) == (" Näme ", "a\nb", "https://y/1")
    assert (video.location_type, list(video.tags)) == (messages.YOUTUBE, ["x", "y"])
    (preview,) = (
        await stub.GetVideoPreviews(messages.GetVideoPreviewsRequest(video_ids=[sent.video_id]))
    ).video_previews
    assert preview.preview_image_location == "//img.youtube.com/vi/https://y/1/hqdefault.jpg"
    assert (preview.video_id, preview.added_date) == (sent.video_id, video.added_date)


@pytest.mark.parametrize(
    "url", ["", "ftp://x/y", "javascript:alert(1)", "x/y.mp4", "http://", "http:// x", "http://[x"]
)
async def test_an_upload_must_be_a_web_address(stub: "VideoCatalogServiceAsyncStub", url: str) -> None:
    request = messages.SubmitUploadedVideoRequest(video_id=new_id(), user_id=new_id(), name="n", upload_url=url)
    with pytest.raises(aio.AioRpcError) as error:
        await stub.SubmitUploadedVideo(request)
    assert bad_fields(error.value) == {"upload_url"}
    request.upload_url = "HTTPS://example.org/v.mp4"
    await stub.SubmitUploadedVideo(request)
    video = await stub.GetVideo(messages.GetVideoRequest(video_id=request.video_id))
    assert (video.location, video.location_type) == ("HTTPS://example.org/v.mp4", messages.UPLOAD)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("name", "名" * 1000, "名" * 1001),
        ("name", "n", " \n"),
        ("you_tube_video_id", "y" * 1000, "y" * 1001),
        ("description", "d" * 20_000, "d" * 20_001),
        ("tags", [f"t{number}" for number in range(100)], [f"t{number}" for number in range(101)]),
        ("tags", [f" {'🎬' * 200} "], ["🎬" * 201]),
        ("video_id", Uuid(value=str(uuid4())), Uuid(value="nope")),
        ("user_id", Uuid(value=str(uuid4())), Uuid()),
    ],
)
async def test_what_a_submission_may_hold(
    stub: "VideoCatalogServiceAsyncStub", videos: VideosInADict, field: str, good: Any, bad: Any
) -> None:
    with pytest.raises(aio.AioRpcError) as error:
        await stub.SubmitYouTubeVideo(youtube(**{field: bad}))
    assert bad_fields(error.value) == {field}
    assert not videos.videos
    await stub.SubmitYouTubeVideo(youtube(**{field: good}))
    assert len(videos.videos) == 1


async def test_an_unknown_video_is_not_found(stub: "VideoCatalogServiceAsyncStub") -> None:
    unknown = new_id()
    with pytest.raises(aio.AioRpcError) as error:
        await stub.GetVideo(messages.GetVideoRequest(video_id=unknown))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    assert error.value.details() == f"Video with id {unknown.value} was not found"


async def test_previews_come_in_request_order_twice_if_asked_twice_without_the_unknown(
    stub: "VideoCatalogServiceAsyncStub",
) -> None:
    one, other = youtube(name="one"), youtube(name="other")
    for each in (one, other):
        await stub.SubmitYouTubeVideo(each)
    lower = Uuid(value=other.video_id.value.lower())
    asked = [other.video_id, new_id(), one.video_id, lower]
    previews = (await stub.GetVideoPreviews(messages.GetVideoPreviewsRequest(video_ids=asked))).video_previews
    assert [each.video_id for each in previews] == [other.video_id, one.video_id, lower]
    for bad in ([], [new_id()] * 201):
        with pytest.raises(aio.AioRpcError) as error:
            await stub.GetVideoPreviews(messages.GetVideoPreviewsRequest(video_ids=bad))
        assert bad_fields(error.value) == {"video_ids"}


async def test_lists_page_newest_first_and_a_full_last_page_has_no_token(stub: "VideoCatalogServiceAsyncStub") -> None:
    user = new_id()
    for number in range(6):
        await stub.SubmitYouTubeVideo(youtube(user_id=user, name=f"{number}"))
    token, found = "", []
    for _ in range(2):
        page = await stub.GetUserVideoPreviews(
            messages.GetUserVideoPreviewsRequest(user_id=user, page_size=3, paging_state=token)
        )
        assert page.user_id == user
        found += [(each.name, each.user_id) for each in page.video_previews]
        token = page.paging_state
    assert found == [(f"{number}", user) for number in (5, 4, 3, 2, 1, 0)]
    assert not token
    first = await stub.GetLatestVideoPreviews(messages.GetLatestVideoPreviewsRequest(page_size=4))
    rest = await stub.GetLatestVideoPreviews(
        messages.GetLatestVideoPreviewsRequest(page_size=1000, paging_state=first.paging_state)
    )
    assert [each.name for each in (*first.video_previews, *rest.video_previews)] == ["5", "4", "3", "2", "1", "0"]


async def test_a_token_works_for_its_own_call_and_list_alone(stub: "VideoCatalogServiceAsyncStub") -> None:
    user = new_id()
    for _ in range(2):
        await stub.SubmitYouTubeVideo(youtube(user_id=user))
    page = await stub.GetUserVideoPreviews(messages.GetUserVideoPreviewsRequest(user_id=user, page_size=1))
    for other in (
        stub.GetUserVideoPreviews(
            messages.GetUserVideoPreviewsRequest(user_id=new_id(), page_size=1, paging_state=page.paging_state)
        ),
        stub.GetLatestVideoPreviews(
            messages.GetLatestVideoPreviewsRequest(page_size=1, paging_state=page.paging_state)
        ),
    ):
        with pytest.raises(aio.AioRpcError) as error:
            await other
        assert bad_fields(error.value) == {"paging_state"}


async def test_near_midnight_the_latest_hold_what_an_instance_wrote_whose_clock_is_ahead(
    videos: VideosInADict, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = now().replace(hour=23, minute=30)
    monkeypatch.setattr("services.video_catalog.latest.now", lambda: late)
    for ahead in (timedelta(), timedelta(minutes=50)):
        video = Video(uuid4(), uuid4(), "n", "", "x", 0, "", frozenset(), added_date=late + ahead)
        videos.videos[video.video_id] = video
    found = await latest_videos(videos, 10, 1, None)  # type: ignore[arg-type]  # a fake
    assert [row.added_date - late for row in found] == [timedelta(minutes=50), timedelta()]
