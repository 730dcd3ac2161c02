"""Our own sample data loaded into the seven services, found in etcd: whole, intact, findable, and only once."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sampledata.__main__ import OWN_FOLDER
from sampledata.items import DataSet
from sampledata.readers import read_folder
from tests.processes import ServiceProcess, run_module
from tests.scenarios.wire import Wire, u


@pytest.fixture(scope="module")
def data() -> DataSet:
    return read_folder(OWN_FOLDER)


@pytest.fixture(scope="module")
def loaded(
    services: dict[str, ServiceProcess], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The sample data are in the services; the folder of the loader's logs."""
    folder = tmp_path_factory.mktemp("loader")
    run_module("sampledata", environment=environment, folder=folder, timeout=300)
    return folder


@pytest.mark.usefixtures("loaded")
def test_every_video_is_there_as_the_file_has_it(wire: Wire, data: DataSet) -> None:
    for video in data.videos:
        found = wire.GetVideo(video_id=u(video.video_id))
        assert (found.name, found.description, found.location) == (video.name, video.description, video.location)
        assert set(found.tags) == set(video.tags)
        assert found.user_id.value == str(video.user_id)


@pytest.mark.usefixtures("loaded")
def test_every_author_has_a_profile_and_can_sign_in(wire: Wire, data: DataSet) -> None:
    profiles = wire.GetUserProfile(user_ids=[u(person.user_id) for person in data.people]).profiles
    assert [(each.first_name, each.last_name, each.email) for each in profiles] == [
        (person.first_name, person.last_name, person.email) for person in data.people
    ]
    person = data.people[0]
    assert wire.VerifyCredentials(email=person.email, password="killrvideo").user_id.value == str(person.user_id)


@pytest.mark.usefixtures("loaded")
def test_ratings_comments_and_plays_are_those_of_the_files(wire: Wire, data: DataSet) -> None:
    assert_counts(wire, data)


def assert_counts(wire: Wire, data: DataSet) -> None:
    number, total = Counter[Any](), Counter[Any]()
    for rating in data.ratings:
        number[rating.video_id] += 1
        total[rating.video_id] += rating.rating
    said: dict[Any, list[str]] = {video.video_id: [] for video in data.videos}
    for comment in sorted(data.comments, key=lambda comment: comment.comment_id.time, reverse=True):
        said[comment.video_id].append(comment.text)
    for video in data.videos:
        found = wire.GetRating(video_id=u(video.video_id))
        assert (found.ratings_count, found.ratings_total) == (number[video.video_id], total[video.video_id])
        comments = wire.GetVideoComments(video_id=u(video.video_id), page_size=100).comments
        assert [comment.comment for comment in comments] == said[video.video_id]
        added = wire.GetVideo(video_id=u(video.video_id)).added_date.ToDatetime()
        assert all(comment.comment_timestamp.ToDatetime() >= added for comment in comments)
    stats = wire.GetNumberOfPlays(video_ids=[u(plays.video_id) for plays in data.plays]).stats
    assert [each.views for each in stats] == [plays.views for plays in data.plays]


@pytest.mark.usefixtures("loaded")
def test_the_newest_video_of_the_set_is_listed_before_the_oldest(wire: Wire, data: DataSet) -> None:
    by_age = sorted(data.videos, key=lambda video: video.added or datetime.min)
    previews = wire.GetLatestVideoPreviews(page_size=1000).video_previews
    positions = {preview.video_id.value: index for index, preview in enumerate(previews)}
    assert positions[str(by_age[-1].video_id)] < positions[str(by_age[0].video_id)]


@pytest.mark.usefixtures("loaded")
def test_a_video_is_found_by_its_words_and_suggested_to_people(wire: Wire, data: DataSet) -> None:
    katana = next(video for video in data.videos if "Katana" in video.name)
    found = wire.SearchVideos(query="wooden katana", page_size=10).videos
    assert str(katana.video_id) in [video.video_id.value for video in found]
    assert "woodworking" in wire.GetQuerySuggestions(query="woodw", page_size=10).suggestions
    person = data.people[0]
    suggested = {
        video.video_id.value for video in wire.GetSuggestedForUser(user_id=u(person.user_id), page_size=20).videos
    }
    assert suggested
    own = {str(video.video_id) for video in data.videos if video.user_id == person.user_id}
    rated = {str(rating.video_id) for rating in data.ratings if rating.user_id == person.user_id}
    assert not suggested & (own | rated)


def test_a_second_run_adds_nothing(wire: Wire, data: DataSet, loaded: Path, environment: dict[str, str]) -> None:
    run_module("sampledata", environment=environment, folder=loaded, timeout=300)
    assert_counts(wire, data)
