"""Loading a data set, through the client, into services whose data is kept in dicts."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID, uuid1, uuid4

import pytest
from grpc import StatusCode

from client import Services
from common.errors import Unavailable
from common.settings import Settings
from common.timestamps import now, timestamp_message
from grpc_discovery import AlreadyExists, InvalidArgument
from infra.layout import ROOT
from infra.processes import Process, wait_until
from protos import comments_pb2, ratings_pb2, statistics_pb2, user_management_pb2, video_catalog_pb2
from protos.comments_pb2_grpc import CommentsServiceServicer, add_CommentsServiceServicer_to_server
from protos.common_pb2 import TimeUuid, Uuid
from protos.ratings_pb2_grpc import RatingsServiceServicer, add_RatingsServiceServicer_to_server
from protos.statistics_pb2_grpc import StatisticsServiceServicer, add_StatisticsServiceServicer_to_server
from protos.user_management_pb2_grpc import UserManagementServiceServicer, add_UserManagementServiceServicer_to_server
from protos.video_catalog_pb2_grpc import VideoCatalogServiceServicer, add_VideoCatalogServiceServicer_to_server
from sampledata.__main__ import OWN_FOLDER
from sampledata.items import DataSet
from sampledata.loader import Loader, Options, Progress, ServicesAway
from sampledata.readers import read_folder
from tests.services.serving import served_at


class Users(UserManagementServiceServicer):
    """Users in a dict, by id."""

    def __init__(self) -> None:
        self.users: dict[str, user_management_pb2.CreateUserRequest] = {}
        self.lost_answers = 0

    async def CreateUser(self, request: Any, context: Any) -> user_management_pb2.CreateUserResponse:
        if not request.email:
            raise InvalidArgument({"email": "must not be blank"})
        if any(request.email == other.email for other in self.users.values()):
            raise AlreadyExists("taken")
        self.users[request.user_id.value] = request
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable("the answer is lost")
        return user_management_pb2.CreateUserResponse()

    async def GetUserProfile(self, request: Any, context: Any) -> user_management_pb2.GetUserProfileResponse:
        assert 1 <= len(request.user_ids) <= 200
        known = [self.users[each.value] for each in request.user_ids if each.value in self.users]
        profiles = [user_management_pb2.UserProfile(user_id=each.user_id, email=each.email) for each in known]
        return user_management_pb2.GetUserProfileResponse(profiles=profiles)


class Videos(VideoCatalogServiceServicer):
    """Videos in a dict, in the order of their submission."""

    def __init__(self) -> None:
        self.videos: dict[str, Any] = {}
        self.dates: dict[str, datetime] = {}
        self.submitted: Counter[str] = Counter()

    async def SubmitYouTubeVideo(self, request: Any, context: Any) -> video_catalog_pb2.SubmitYouTubeVideoResponse:
        if not request.name.strip():
            raise InvalidArgument({"name": "must not be blank"})
        self.videos[request.video_id.value] = request
        self.dates[request.video_id.value] = now()
        self.submitted[request.video_id.value] += 1
        return video_catalog_pb2.SubmitYouTubeVideoResponse()

    async def SubmitUploadedVideo(self, request: Any, context: Any) -> video_catalog_pb2.SubmitUploadedVideoResponse:
        self.videos[request.video_id.value] = request
        self.dates[request.video_id.value] = now()
        return video_catalog_pb2.SubmitUploadedVideoResponse()

    async def GetVideoPreviews(self, request: Any, context: Any) -> video_catalog_pb2.GetVideoPreviewsResponse:
        assert 1 <= len(request.video_ids) <= 200
        known = [each for each in request.video_ids if each.value in self.videos]
        previews = [
            video_catalog_pb2.VideoPreview(video_id=each, added_date=timestamp_message(self.date(each.value)))
            for each in known
        ]
        return video_catalog_pb2.GetVideoPreviewsResponse(video_previews=previews)

    def date(self, video_id: str) -> datetime:
        """When it was submitted, in UTC without a zone."""
        return self.dates.setdefault(video_id, now())

    async def GetLatestVideoPreviews(
        self, request: Any, context: Any
    ) -> video_catalog_pb2.GetLatestVideoPreviewsResponse:
        previews = [
            video_catalog_pb2.VideoPreview(name=each.name) for each in list(self.videos.values())[: request.page_size]
        ]
        return video_catalog_pb2.GetLatestVideoPreviewsResponse(video_previews=previews)


class Ratings(RatingsServiceServicer):
    """Ratings in a dict, by video and user."""

    def __init__(self) -> None:
        self.ratings: dict[tuple[str, str], int] = {}
        self.rated: Counter[tuple[str, str]] = Counter()

    async def RateVideo(self, request: Any, context: Any) -> ratings_pb2.RateVideoResponse:
        if not 1 <= request.rating <= 5:
            raise InvalidArgument({"rating": f"must be 1 to 5, not {request.rating}"})
        self.ratings[request.video_id.value, request.user_id.value] = request.rating
        self.rated[request.video_id.value, request.user_id.value] += 1
        return ratings_pb2.RateVideoResponse()

    async def GetUserRating(self, request: Any, context: Any) -> ratings_pb2.GetUserRatingResponse:
        rating = self.ratings.get((request.video_id.value, request.user_id.value), 0)
        return ratings_pb2.GetUserRatingResponse(rating=rating)


class Comments(CommentsServiceServicer):
    """Comments in a dict, by id; listed in pages of two, whatever is asked for."""

    def __init__(self) -> None:
        self.comments: dict[str, Any] = {}
        self.left: Counter[str] = Counter()

    async def CommentOnVideo(self, request: Any, context: Any) -> comments_pb2.CommentOnVideoResponse:
        self.comments[request.comment_id.value] = request
        self.left[request.comment_id.value] += 1
        return comments_pb2.CommentOnVideoResponse()

    async def GetVideoComments(self, request: Any, context: Any) -> comments_pb2.GetVideoCommentsResponse:
        ids = sorted(key for key, each in self.comments.items() if each.video_id == request.video_id)
        begin = int(request.paging_state or 0)
        page = [comments_pb2.VideoComment(comment_id=self.comments[key].comment_id) for key in ids[begin : begin + 2]]
        state = str(begin + 2) if begin + 2 < len(ids) else ""
        return comments_pb2.GetVideoCommentsResponse(comments=page, paging_state=state)


class Statistics(StatisticsServiceServicer):
    """Numbers of plays; `lost` answers are lost after the play was counted, and `refused` before."""

    def __init__(self) -> None:
        self.views: Counter[str] = Counter()
        self.lost = self.refused = 0
        self.under_way = self.most_under_way = 0

    async def RecordPlaybackStarted(self, request: Any, context: Any) -> statistics_pb2.RecordPlaybackStartedResponse:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.refused:
            self.refused -= 1
            raise Unavailable("not now")
        self.views[request.video_id.value] += 1
        if self.lost:
            self.lost -= 1
            raise Unavailable("the answer is lost")
        return statistics_pb2.RecordPlaybackStartedResponse()

    async def GetNumberOfPlays(self, request: Any, context: Any) -> statistics_pb2.GetNumberOfPlaysResponse:
        assert 1 <= len(request.video_ids) <= 200
        stats = [statistics_pb2.PlayStats(video_id=each, views=self.views[each.value]) for each in request.video_ids]
        return statistics_pb2.GetNumberOfPlaysResponse(stats=stats)


def listed(addresses: dict[str, str]) -> str:
    return ";".join(f"{service}={address}" for service, address in addresses.items())


def found_at(addresses: dict[str, str]) -> Settings:
    values: dict[str, Any] = {"discovery": "static", "static_services": listed(addresses)}
    return Settings.load(**values)


class World:
    """The five services, and the settings under which they are found."""

    def __init__(self) -> None:
        self.users, self.videos, self.ratings = Users(), Videos(), Ratings()
        self.comments, self.statistics = Comments(), Statistics()
        self.addresses: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {"KILLRVIDEO_DISCOVERY": "static", "KILLRVIDEO_STATIC_SERVICES": listed(self.addresses)}

    async def load(self, data: DataSet, **options: Any) -> Progress:
        progress = Progress()
        async with Services.from_settings(found_at(self.addresses)) as services:
            await Loader(services, progress, Options(password="p", patience=20, **options)).load(data)
        return progress


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    async with AsyncExitStack() as stack:
        for service, servicer, register in (
            ("UserManagementService", found.users, add_UserManagementServiceServicer_to_server),
            ("VideoCatalogService", found.videos, add_VideoCatalogServiceServicer_to_server),
            ("RatingsService", found.ratings, add_RatingsServiceServicer_to_server),
            ("CommentsService", found.comments, add_CommentsServiceServicer_to_server),
            ("StatisticsService", found.statistics, add_StatisticsServiceServicer_to_server),
        ):
            found.addresses[service] = await stack.enter_async_context(served_at(servicer, register))
        yield found


def counts(progress: Progress) -> dict[str, tuple[int, int, int]]:
    return {kind: (count.added, count.there, count.skipped) for kind, count in progress.counts.items()}


def small_set(folder: Path, **more: str) -> DataSet:
    """Two people, two videos, and what `more` says."""
    users = "userid,email,firstname,lastname\n" + "".join(
        f"{user},{name}@example.com,{name},x\n" for user, name in PEOPLE.items()
    )
    videos = "videoid,userid,name,description,location,location_type,tags,added_date\n" + "".join(
        f'{video},{next(iter(PEOPLE))},{name},"several\nlines 🥧",aaaaaaaaaaa,0,{{}},{date}\n'
        for video, (name, date) in VIDEOS.items()
    )
    for name, text in {"users": users, "videos": videos, **more}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return read_folder(folder)


PEOPLE = {str(uuid4()): "ann", str(uuid4()): "bob"}
VIDEOS = {
    str(uuid4()): ("newer", "2026-02-01T00:00:00.000Z"),
    str(uuid4()): ("older", "2026-01-01T00:00:00.000Z"),
}
FIRST_VIDEO, SECOND_VIDEO = VIDEOS
ANN, BOB = PEOPLE


async def test_our_own_set_is_loaded_whole_and_a_second_run_adds_nothing(world: World) -> None:
    data = read_folder(OWN_FOLDER)
    first = await world.load(data)
    assert not first.bad_rows
    assert counts(first) == {
        "people": (12, 0, 0),
        "videos": (60, 0, 0),
        "ratings": (len(data.ratings), 0, 0),
        "comments": (len(data.comments), 0, 0),
        "plays": (sum(each.views for each in data.plays), 0, 0),
    }
    views = dict(world.statistics.views)
    assert views == {str(each.video_id): each.views for each in data.plays}
    for video in data.videos:
        sent = world.videos.videos[str(video.video_id)]
        assert (sent.name, sent.description, sent.you_tube_video_id) == (video.name, video.description, video.location)
        assert tuple(sent.tags) == video.tags

    second = await world.load(data)
    assert all(added == skipped == 0 for added, _, skipped in counts(second).values())
    assert [there for _, there, _ in counts(second).values()] == [added for added, _, _ in counts(first).values()]
    assert dict(world.statistics.views) == views
    assert (
        set(world.videos.submitted.values())
        == set(world.ratings.rated.values())
        == set(world.comments.left.values())
        == {1}
    )


async def test_the_oldest_video_is_submitted_first(world: World, tmp_path: Path) -> None:
    await world.load(small_set(tmp_path))
    assert [video.name for video in world.videos.videos.values()] == ["older", "newer"]


async def test_a_row_that_a_service_refuses_is_told_with_its_place_and_the_rest_is_loaded(
    world: World, tmp_path: Path
) -> None:
    comment = uuid1()
    data = small_set(
        tmp_path,
        video_ratings_by_user=f"videoid,userid,rating\n{FIRST_VIDEO},{ANN},7\n{FIRST_VIDEO},{BOB},4\n",
        comments=f"videoid,commentid,comment,userid\n{FIRST_VIDEO},{comment},Hm,{ANN}\n",
    )
    progress = await world.load(data)
    [bad] = progress.bad_rows
    assert (bad.place.file.name, bad.place.line) == ("video_ratings_by_user.csv", 2)
    assert "rating must be 1 to 5, not 7" in bad.reason
    assert counts(progress)["ratings"] == (1, 0, 1)
    assert world.ratings.ratings == {(FIRST_VIDEO, BOB): 4}
    assert [left.comment for left in world.comments.comments.values()] == ["Hm"]


def said(world: World) -> list[tuple[str, datetime]]:
    """Texts and dates of all comments, the oldest first."""
    ids = sorted(map(UUID, world.comments.comments), key=lambda comment_id: comment_id.time)
    return [
        (world.comments.comments[str(one)].comment, datetime(1582, 10, 15, tzinfo=UTC) + timedelta(microseconds=one.time // 10))
        for one in ids
    ]  # fmt: skip


COMMENTS = (
    "videoid,commentid,comment,userid\n"
    + f"{FIRST_VIDEO},10b836f6-f3a8-11f0-a65d-004b56494445,third,{ANN}\n"
    + f"{SECOND_VIDEO},c4017f94-ee14-11f0-848a-004b56494445,first,{BOB}\n"
    + f"{FIRST_VIDEO},227c9ad4-f1b8-11f0-9188-004b56494445,second,{BOB}\n"
)


async def test_comments_are_dated_at_loading_after_their_videos_and_keep_their_order(
    world: World, tmp_path: Path
) -> None:
    await world.load(small_set(tmp_path, comments=COMMENTS))
    assert [text for text, _ in said(world)] == ["first", "second", "third"]
    newest = max(world.videos.dates.values()).replace(tzinfo=UTC)
    assert all(newest < date < newest + timedelta(seconds=1) for _, date in said(world))
    assert all(UUID(one).version == 1 and UUID(one).variant == RFC_4122 for one in world.comments.comments)


async def test_a_load_that_was_cut_short_adds_only_what_is_missing_though_the_videos_were_dated_anew(
    world: World, tmp_path: Path
) -> None:
    data = small_set(tmp_path, comments=COMMENTS)
    await world.load(data)
    before = said(world)
    lost = next(key for key, left in world.comments.comments.items() if left.comment == "second")
    del world.comments.comments[lost]
    assert counts(await world.load(data))["comments"] == (1, 2, 0)
    assert said(world) == before
    for video in world.videos.dates:
        world.videos.dates[video] += timedelta(days=1)
    assert counts(await world.load(data))["comments"] == (0, 3, 0)


async def test_comments_that_were_loaded_with_the_ids_of_the_file_are_there_already(
    world: World, tmp_path: Path
) -> None:
    data = small_set(tmp_path, comments=COMMENTS)
    for comment in data.comments:
        world.comments.comments[str(comment.comment_id)] = comments_pb2.CommentOnVideoRequest(
            video_id=Uuid(value=str(comment.video_id)), comment_id=TimeUuid(value=str(comment.comment_id))
        )
    assert counts(await world.load(data))["comments"] == (0, 3, 0)


async def test_a_comment_that_stands_in_the_file_twice_is_left_once(world: World, tmp_path: Path) -> None:
    await world.load(small_set(tmp_path, comments=COMMENTS + COMMENTS.splitlines()[1] + "\n"))
    assert len(world.comments.comments) == 3


async def test_a_rating_that_somebody_has_changed_since_is_left(world: World, tmp_path: Path) -> None:
    data = small_set(tmp_path, video_ratings_by_user=f"videoid,userid,rating\n{FIRST_VIDEO},{ANN},2\n")
    world.ratings.ratings[FIRST_VIDEO, ANN] = 5
    assert counts(await world.load(data))["ratings"] == (0, 1, 0)
    assert world.ratings.ratings == {(FIRST_VIDEO, ANN): 5}


async def test_an_address_that_is_another_users_is_a_refused_row(world: World, tmp_path: Path) -> None:
    world.users.users["other"] = user_management_pb2.CreateUserRequest(email="ann@example.com")
    progress = await world.load(small_set(tmp_path))
    assert counts(progress)["people"] == (1, 0, 1)
    [bad] = progress.bad_rows
    assert (bad.place.file.name, bad.place.line, bad.reason) == ("users.csv", 2, "taken")


async def test_a_user_whose_creation_was_done_but_not_answered_is_no_refused_row(world: World, tmp_path: Path) -> None:
    world.users.lost_answers = 1
    progress = await world.load(small_set(tmp_path))
    assert not progress.bad_rows
    assert counts(progress)["people"] == (2, 0, 0)


async def test_plays_are_exact_though_calls_fail_before_or_after_they_are_counted(world: World, tmp_path: Path) -> None:
    data = small_set(tmp_path, video_playback_stats=f"videoid,views\n{FIRST_VIDEO},40\n{SECOND_VIDEO},3\n")
    world.statistics.views[FIRST_VIDEO] = 4
    world.statistics.refused = world.statistics.lost = 5
    progress = await world.load(data, at_once=4)
    assert dict(world.statistics.views) == {FIRST_VIDEO: 40, SECOND_VIDEO: 3}
    assert counts(progress)["plays"] == (39, 4, 0)
    assert world.statistics.most_under_way <= 4


async def test_plays_can_be_capped(world: World, tmp_path: Path) -> None:
    data = small_set(tmp_path, video_playback_stats=f"videoid,views\n{FIRST_VIDEO},40\n{SECOND_VIDEO},3\n")
    await world.load(data, most_plays=10)
    assert dict(world.statistics.views) == {FIRST_VIDEO: 10, SECOND_VIDEO: 3}


async def test_services_that_are_not_there_end_the_load_with_a_reason(tmp_path: Path) -> None:
    async with Services.from_settings(found_at({"UserManagementService": "127.0.0.1:1"})) as services:
        loader = Loader(services, Progress(), Options(password="p", patience=0.1))
        with pytest.raises(ServicesAway, match=StatusCode.UNAVAILABLE.name):
            await loader.load(small_set(tmp_path))


async def run_loader(world: World, folder: Path, log: Path, *options: str) -> tuple[int, str]:
    process = Process(
        "sampledata",
        [sys.executable, "-m", "sampledata", str(folder), *options],
        log,
        environment=world.environment,
        folder=ROOT,
    )
    process.start()
    code = await asyncio.to_thread(process.wait_end, 90)
    return code, process.log_text()


@pytest.mark.processes
async def test_the_command_loads_tells_and_exits_by_what_came_of_it(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    small_set(folder)
    code, text = await run_loader(world, folder, tmp_path / "1.log")
    assert code == 0, text
    assert list(world.videos.videos) == [SECOND_VIDEO, FIRST_VIDEO]
    assert world.users.users[ANN].password == "killrvideo"

    with (folder / "videos.csv").open("a") as file:
        file.write("nope,,,,,,,\n")
    code, text = await run_loader(world, folder, tmp_path / "2.log")
    assert code == 3, text
    assert f"skipped {folder}/videos.csv:6: videoid is not a UUID: 'nope'" in text

    code, text = await run_loader(world, tmp_path, tmp_path / "3.log")
    assert (code, "there is no videos.csv" in text) == (1, True)


@pytest.mark.processes
async def test_if_empty_spares_other_videos_and_completes_its_own(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    small_set(folder)
    stranger = str(uuid4())
    world.videos.videos[stranger] = video_catalog_pb2.SubmitYouTubeVideoRequest(name="other")
    code, text = await run_loader(world, folder, tmp_path / "1.log", "--if-empty")
    assert (code, "there are other videos already" in text) == (0, True)
    assert list(world.videos.videos) == [stranger]

    world.videos.videos = {FIRST_VIDEO: video_catalog_pb2.SubmitYouTubeVideoRequest(name="newer")}
    code, text = await run_loader(world, folder, tmp_path / "2.log", "--if-empty")
    assert code == 0, text
    assert set(world.videos.videos) == set(VIDEOS)


@pytest.mark.processes
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["Ctrl-C", "SIGTERM", "kill -9"]
)
async def test_a_load_that_is_stopped_in_the_middle_goes_on_where_it_was(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    small_set(folder, video_playback_stats=f"videoid,views\n{FIRST_VIDEO},3000\n")
    process = Process(
        "sampledata",
        [sys.executable, "-m", "sampledata", str(folder), "--at-once", "2"],
        tmp_path / "stopped.log",
        environment=world.environment,
        folder=ROOT,
    )
    process.start()
    await asyncio.to_thread(wait_until, lambda: world.statistics.views[FIRST_VIDEO] > 0, 60, "the first play")
    process.send(number)
    code = await asyncio.to_thread(process.wait_end, 20)
    assert world.statistics.views[FIRST_VIDEO] < 3000, "stopped too late to show anything"
    assert code == (-9 if number == signal.SIGKILL else 130), process.log_text()
    assert ("the same command goes on from here" in process.log_text()) == (number != signal.SIGKILL)

    code, text = await run_loader(world, folder, tmp_path / "again.log")
    assert code == 0, text
    assert world.statistics.views[FIRST_VIDEO] == 3000
