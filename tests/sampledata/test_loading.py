"""Loading a data set, through the client, into services whose data is kept in dicts."""

from pathlib import Path
from uuid import uuid1

import pytest
from grpc import StatusCode

from client import Services
from protos import user_management_pb2
from sampledata.__main__ import OWN_FOLDER
from sampledata.calls import ServicesAway
from sampledata.loader import Loader, Options
from sampledata.progress import LoadProgress
from sampledata.readers import read_folder
from tests.sampledata.fakes import ANN, BOB, FIRST_VIDEO, SECOND_VIDEO, FakeServices, counts, settings_for, small_set


async def test_our_own_set_is_loaded_whole_and_a_second_run_adds_nothing(fakes: FakeServices) -> None:
    data = read_folder(OWN_FOLDER)
    first = await fakes.load(data)
    assert not first.bad_rows
    assert counts(first) == {
        "people": (12, 0, 0),
        "videos": (60, 0, 0),
        "ratings": (len(data.ratings), 0, 0),
        "comments": (len(data.comments), 0, 0),
        "plays": (sum(plays.views for plays in data.plays), 0, 0),
    }
    views = dict(fakes.statistics.views)
    assert views == {str(plays.video_id): plays.views for plays in data.plays}
    for video in data.videos:
        sent = fakes.videos.videos[str(video.video_id)]
        assert (sent.name, sent.description, sent.you_tube_video_id) == (video.name, video.description, video.location)
        assert tuple(sent.tags) == video.tags

    second = await fakes.load(data)
    assert all(added == skipped == 0 for added, _, skipped in counts(second).values())
    assert [there for _, there, _ in counts(second).values()] == [added for added, _, _ in counts(first).values()]
    assert dict(fakes.statistics.views) == views
    assert (
        set(fakes.videos.submitted.values())
        == set(fakes.ratings.rated.values())
        == set(fakes.comments.comment_counts.values())
        == {1}
    )


async def test_the_oldest_video_is_submitted_first(fakes: FakeServices, tmp_path: Path) -> None:
    await fakes.load(small_set(tmp_path))
    assert [video.name for video in fakes.videos.videos.values()] == ["older", "newer"]


async def test_a_row_that_a_service_refuses_is_reported_with_its_line_and_the_rest_is_loaded(
    fakes: FakeServices, tmp_path: Path
) -> None:
    data = small_set(
        tmp_path,
        video_ratings_by_user=f"videoid,userid,rating\n{FIRST_VIDEO},{ANN},7\n{FIRST_VIDEO},{BOB},4\n",
        comments=f"videoid,commentid,comment,userid\n{FIRST_VIDEO},{uuid1()},Hm,{ANN}\n",
    )
    progress = await fakes.load(data)
    [bad] = progress.bad_rows
    assert (bad.source.file.name, bad.source.line) == ("video_ratings_by_user.csv", 2)
    assert "rating must be 1 to 5, not 7" in bad.reason
    assert counts(progress)["ratings"] == (1, 0, 1)
    assert fakes.ratings.ratings == {(FIRST_VIDEO, BOB): 4}
    assert [comment.comment for comment in fakes.comments.comments.values()] == ["Hm"]


async def test_a_rating_that_somebody_has_changed_since_stays(fakes: FakeServices, tmp_path: Path) -> None:
    data = small_set(tmp_path, video_ratings_by_user=f"videoid,userid,rating\n{FIRST_VIDEO},{ANN},2\n")
    fakes.ratings.ratings[FIRST_VIDEO, ANN] = 5
    assert counts(await fakes.load(data))["ratings"] == (0, 1, 0)
    assert fakes.ratings.ratings == {(FIRST_VIDEO, ANN): 5}


async def test_an_address_that_is_another_users_is_a_refused_row(fakes: FakeServices, tmp_path: Path) -> None:
    fakes.users.users["other"] = user_management_pb2.CreateUserRequest(email="ann@example.com")
    progress = await fakes.load(small_set(tmp_path))
    assert counts(progress)["people"] == (1, 0, 1)
    [bad] = progress.bad_rows
    assert (bad.source.file.name, bad.source.line, bad.reason) == ("users.csv", 2, "taken")


async def test_a_user_whose_creation_was_done_but_not_answered_is_no_refused_row(
    fakes: FakeServices, tmp_path: Path
) -> None:
    fakes.users.lost_answers = 1
    progress = await fakes.load(small_set(tmp_path))
    assert not progress.bad_rows
    assert counts(progress)["people"] == (2, 0, 0)


async def test_plays_are_exact_though_calls_fail_before_or_after_they_are_counted(
    fakes: FakeServices, tmp_path: Path
) -> None:
    data = small_set(tmp_path, video_playback_stats=f"videoid,views\n{FIRST_VIDEO},40\n{SECOND_VIDEO},3\n")
    fakes.statistics.views[FIRST_VIDEO] = 4
    fakes.statistics.refused = fakes.statistics.lost = 5
    progress = await fakes.load(data, max_calls=4)
    assert dict(fakes.statistics.views) == {FIRST_VIDEO: 40, SECOND_VIDEO: 3}
    assert counts(progress)["plays"] == (39, 4, 0)
    assert fakes.statistics.max_under_way <= 4


async def test_plays_can_be_capped(fakes: FakeServices, tmp_path: Path) -> None:
    data = small_set(tmp_path, video_playback_stats=f"videoid,views\n{FIRST_VIDEO},40\n{SECOND_VIDEO},3\n")
    await fakes.load(data, max_plays=10)
    assert dict(fakes.statistics.views) == {FIRST_VIDEO: 10, SECOND_VIDEO: 3}


async def test_missing_services_end_the_load_with_a_reason(tmp_path: Path) -> None:
    async with Services.from_settings(settings_for({"UserManagementService": "127.0.0.1:1"})) as services:
        loader = Loader(services, LoadProgress(), Options(password="p", patience=0.1))
        with pytest.raises(ServicesAway, match=StatusCode.UNAVAILABLE.name):
            await loader.load(small_set(tmp_path))
