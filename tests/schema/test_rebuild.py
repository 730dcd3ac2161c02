"""`python -m schema rebuild` on rows that another tool loaded: only `videos` and the ratings of users are there."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from cassandra.cluster import Session

from common.database import Database, connect
from common.settings import Settings
from infra.layout import ROOT
from infra.processes import Process, wait_until
from schema.upgrade import apply
from services.ratings import repository as ratings
from services.ratings.tally import Tally
from tests.processes import run_module

NUMBER = 40


@pytest.fixture(scope="module")
def own_settings(session: Session, settings: Settings) -> Iterator[Settings]:
    """Settings for a keyspace with the schema and nothing in it."""
    own = settings.replace(cassandra_keyspace=f"rebuild_test_{uuid4().hex[:8]}")
    asyncio.run(apply(own, own.cassandra.contact_points))
    session.set_keyspace(own.cassandra.keyspace)
    yield own
    session.execute(f"DROP KEYSPACE {own.cassandra.keyspace}")


@pytest.fixture
def own_environment(environment: dict[str, str], own_settings: Settings) -> dict[str, str]:
    return {**environment, "KILLRVIDEO_CASSANDRA_KEYSPACE": own_settings.cassandra.keyspace}


class Loaded:
    """What another tool loaded."""

    def __init__(self, session: Session) -> None:
        self.user, self.added = uuid4(), datetime(2026, 3, 4, 5, 6, 7, 89_000)
        self.videos = {uuid4(): f"Volcano number{number}" for number in range(NUMBER)}
        self.raters = [uuid4() for _ in range(5)]
        for index, (video, name) in enumerate(self.videos.items()):
            session.execute(
                "INSERT INTO videos (videoid, userid, name, description, tags, location, location_type, preview_image_location, added_date)"
                " VALUES (%s, %s, %s, 'Lava flows', {'hot rocks', 'geology'}, 'aaaaaaaaaaa', 0, '//p', %s)",
                [video, self.user, name, self.added + timedelta(milliseconds=index)],
            )
        self.rated = next(iter(self.videos))
        for rater in self.raters:
            session.execute(
                "INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (%s, %s, 4)", [self.rated, rater]
            )
        self.fragment = uuid4()
        session.execute("INSERT INTO videos (videoid, name) VALUES (%s, 'a fragment')", [self.fragment])


@pytest.fixture
def loaded(session: Session, own_settings: Settings) -> Loaded:
    for table in (
        "videos",
        "user_videos",
        "latest_videos",
        "videos_by_tag",
        "newest_videos_by_tag",
        "tags_by_letter",
        "video_words",
        "suggested_terms",
        "suggested_beginnings",
        "spellings_by_key",
        "video_ratings_by_user",
        "user_ratings",
    ):
        session.execute(f"TRUNCATE {table}")
    return Loaded(session)


def listed(session: Session, loaded: Loaded) -> list[UUID]:
    return [row.videoid for row in session.execute("SELECT videoid FROM user_videos WHERE userid = %s", [loaded.user])]


def assert_rebuilt(session: Session, loaded: Loaded) -> None:
    newest_first = list(reversed(loaded.videos))
    assert listed(session, loaded) == newest_first
    of_day = session.execute("SELECT videoid, name, userid FROM latest_videos WHERE yyyymmdd = '20260304'").all()
    assert [row.videoid for row in of_day] == newest_first
    assert {row.name for row in of_day} == set(loaded.videos.values())
    for tag in ("hot rocks", "geology"):
        tagged = session.execute("SELECT videoid FROM videos_by_tag WHERE tag = %s", [tag])
        assert {row.videoid for row in tagged} == set(loaded.videos)
        newest = session.execute("SELECT videoid FROM newest_videos_by_tag WHERE tag = %s", [tag])
        assert [row.videoid for row in newest] == newest_first
    letters = session.execute("SELECT tag FROM tags_by_letter WHERE first_letter = 'h'")
    assert [row.tag for row in letters] == ["hot rocks"]
    words = session.execute("SELECT word, videoid FROM video_words").all()
    assert {row.videoid for row in words} == set(loaded.videos)
    for query, expected in (
        ("SELECT term FROM suggested_terms WHERE beginning = 'vo'", "volcano"),
        ("SELECT beginning FROM suggested_beginnings WHERE first_letter = 'v'", "vo"),
        ("SELECT word FROM spellings_by_key WHERE key = 'volcan'", "volcano"),
    ):
        assert [tuple(row) for row in session.execute(query)] == [(expected,)]
    totals = session.execute(
        "SELECT DISTINCT videoid, ratings_count, ratings_total FROM video_ratings_by_user WHERE videoid = %s",
        [loaded.rated],
    ).one()
    assert (totals.ratings_count, totals.ratings_total) == (5, 20)
    for rater in loaded.raters:
        rated = session.execute("SELECT videoid, rating FROM user_ratings WHERE userid = %s", [rater]).all()
        assert [(row.videoid, row.rating) for row in rated] == [(loaded.rated, 4)]


def test_lists_tags_words_and_totals_follow_and_a_second_run_adds_nothing(
    session: Session, own_environment: dict[str, str], loaded: Loaded, tmp_path: Path
) -> None:
    text = run_module("schema", "rebuild", environment=own_environment, folder=tmp_path)
    assert_rebuilt(session, loaded)
    assert f"{NUMBER} videos done" in text
    assert "1 rows of videos were left out" in text
    words = len(session.execute("SELECT word FROM video_words").all())
    run_module("schema", "rebuild", environment=own_environment, folder=tmp_path)
    assert_rebuilt(session, loaded)
    assert len(session.execute("SELECT word FROM video_words").all()) == words


def test_entries_that_no_video_stands_behind_are_removed_unless_they_are_young(
    session: Session, own_environment: dict[str, str], loaded: Loaded, tmp_path: Path
) -> None:
    run_module("schema", "rebuild", environment=own_environment, folder=tmp_path)
    right = set(session.execute("SELECT word, weight, added_ms, videoid FROM video_words").all())
    tagged = set(session.execute("SELECT tag, added_date, videoid FROM newest_videos_by_tag").all())
    kept, added_ms, hour_ago = next(iter(loaded.videos)), next(iter(right)).added_ms, int((time() - 3600) * 1_000_000)
    posting = "INSERT INTO video_words (word, weight, added_ms, videoid, counts) VALUES (%s, 50, %s, %s, 0)"
    old = f"{posting} USING TIMESTAMP {hour_ago}"
    session.execute(old, ["gone", added_ms, uuid4()])  # of a video that is gone
    session.execute(old, ["lost", added_ms, kept])  # a word that the video lost
    session.execute(old, ["volcano", 1, kept])  # of a former submission
    row = "INSERT INTO newest_videos_by_tag (tag, added_date, videoid, userid) VALUES (%s, %s, %s, %s) USING TIMESTAMP"
    session.execute(f"{row} {hour_ago}", ["geology", loaded.added, uuid4(), loaded.user])
    session.execute(f"{row} {hour_ago}", ["lost", loaded.added, kept, loaded.user])
    session.execute(posting, ["young", added_ms, young := uuid4()])  # a submit is about to write its row
    text = run_module("schema", "rebuild", environment=own_environment, folder=tmp_path)
    assert "5 entries of words and tags that no video stands behind were removed" in text
    left = set(session.execute("SELECT word, weight, added_ms, videoid FROM video_words").all())
    assert left - right == {("young", 50, added_ms, young)}
    assert right <= left
    assert set(session.execute("SELECT tag, added_date, videoid FROM newest_videos_by_tag").all()) == tagged


def test_a_rebuild_killed_in_the_middle_is_finished_by_the_next(
    session: Session, own_environment: dict[str, str], loaded: Loaded, tmp_path: Path
) -> None:
    process = Process(
        "rebuild",
        [sys.executable, "-m", "schema", "rebuild"],
        tmp_path / "killed.log",
        environment=own_environment,
        folder=ROOT,
    )
    process.start()
    wait_until(lambda: bool(listed(session, loaded)), 60, "the first video in its list")
    process.kill()
    run_module("schema", "rebuild", environment=own_environment, folder=tmp_path)
    assert_rebuilt(session, loaded)


async def test_ratings_given_while_totals_are_reckoned_anew_are_counted(
    session: Session, own_settings: Settings, loaded: Loaded
) -> None:
    database: Database = await connect(
        own_settings.cassandra, own_settings.cassandra.contact_points, own_settings.cassandra.keyspace
    )
    try:
        await database.prepare(ratings.STATEMENTS)
        one, other = (Tally(ratings.RatingsRepository(database)) for _ in range(2))
        voters = [uuid4() for _ in range(10)]
        work: list[Any] = [one.rate(loaded.rated, voter, 2) for voter in voters]
        work += [other.restore(loaded.rated) for _ in range(3)]
        await asyncio.gather(*work)
        assert await one.totals(loaded.rated) == (5 + len(voters), 20 + 2 * len(voters))
    finally:
        await database.close()
