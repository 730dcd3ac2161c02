"""The schema step on a real Cassandra: from nothing, from an older database, beside another, after a kill."""

import asyncio
import json
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cassandra.cluster import Session

from common.settings import Settings
from infra.etcd import Etcd
from infra.layout import ROOT
from infra.ports import free_port
from infra.processes import Process, wait_until
from schema.tables import CQL_FILE, OptionsRow, SchemaMismatch, read_tables
from schema.upgrade import INIT_DONE, apply
from tests.processes import advertised, run_module

# Contract, section 4: what existing clients read and write. (column, type), the partition key first, then clustering columns with their order.
CONTRACT = {
    "user_credentials": (["email text"], [], "password text, userid uuid"),
    "users": (["userid uuid"], [], "firstname text, lastname text, email text, created_date timestamp"),
    "videos": (
        ["videoid uuid"],
        [],
        "userid uuid, name text, description text, location text, location_type int, preview_image_location text, tags set<text>, "
        "added_date timestamp",
    ),
    "user_videos": (
        ["userid uuid"],
        ["added_date timestamp desc", "videoid uuid asc"],
        "name text, preview_image_location text",
    ),
    "latest_videos": (
        ["yyyymmdd text"],
        ["added_date timestamp desc", "videoid uuid asc"],
        "userid uuid, name text, preview_image_location text",
    ),
    "video_ratings": (["videoid uuid"], [], "rating_counter counter, rating_total counter"),
    "video_ratings_by_user": (["videoid uuid"], ["userid uuid asc"], "rating int"),
    "video_playback_stats": (["videoid uuid"], [], "views counter"),
    "videos_by_tag": (
        ["tag text"],
        ["videoid uuid asc"],
        "added_date timestamp, userid uuid, name text, preview_image_location text, tagged_date timestamp",
    ),
    "tags_by_letter": (["first_letter text"], ["tag text asc"], ""),
    "comments_by_video": (["videoid uuid"], ["commentid timeuuid desc"], "userid uuid, comment text"),
    "comments_by_user": (["userid uuid"], ["commentid timeuuid desc"], "videoid uuid, comment text"),
}


def columns(session: Session, keyspace: str) -> dict[str, dict[str, tuple[str, str, str]]]:
    """Table -> column -> (kind, type, clustering order)."""
    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    query = "SELECT table_name, column_name, kind, type, clustering_order FROM system_schema.columns WHERE keyspace_name = %s"
    for table, column, kind, kind_of_value, order in session.execute(query, [keyspace]):
        found.setdefault(table, {})[column] = (kind, kind_of_value, order)
    return found


def assert_complete(session: Session, keyspace: str) -> None:
    present = columns(session, keyspace)
    for table in read_tables(CQL_FILE.read_text()):
        for column in table.columns:
            assert present[table.name][column.name][:2] == (column.kind, column.type), f"{table.name}.{column.name}"
    query = "SELECT table_name, gc_grace_seconds, default_time_to_live, compaction FROM system_schema.tables WHERE keyspace_name = %s"
    options = {row.table_name: OptionsRow(*row) for row in session.execute(query, [keyspace])}
    assert [
        each for table in read_tables(CQL_FILE.read_text()) for each in table.alterations("", options[table.name])
    ] == []


@pytest.fixture(scope="module")
def complete(session: Session, settings: Settings) -> Iterator[Settings]:
    """Settings for a keyspace that four schema steps made at the same time."""
    own = settings.replace(cassandra_keyspace=f"schema_test_{uuid4().hex[:8]}")
    session.execute(f"DROP KEYSPACE IF EXISTS {INIT_DONE}")

    async def four_at_once() -> None:
        await asyncio.gather(*(apply(own, own.cassandra.contact_points) for _ in range(4)))

    asyncio.run(four_at_once())
    yield own
    session.execute(f"DROP KEYSPACE {own.cassandra.keyspace}")


def test_several_at_once_make_one_schema_and_mark_it_complete(session: Session, complete: Settings) -> None:
    assert_complete(session, complete.cassandra.keyspace)
    assert session.execute("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = %s", [INIT_DONE]).one()


def test_the_tables_that_clients_use_have_their_names_keys_and_types(session: Session, complete: Settings) -> None:
    present = columns(session, complete.cassandra.keyspace)
    for table, (partition, clustering, others) in CONTRACT.items():
        for text in partition:
            name, kind_of_value = text.split()
            assert present[table][name] == ("partition_key", kind_of_value, "none"), f"{table}.{name}"
        for text in clustering:
            name, kind_of_value, order = text.split()
            assert present[table][name] == ("clustering", kind_of_value, order), f"{table}.{name}"
        for text in filter(None, others.split(", ")):
            name, kind_of_value = text.split()
            assert present[table][name] == ("regular", kind_of_value, "none"), f"{table}.{name}"
        keys = [name for name, (kind, _, _) in present[table].items() if kind in ("partition_key", "clustering")]
        assert len(keys) == len(partition) + len(clustering), table


async def test_a_second_run_changes_nothing(session: Session, complete: Settings) -> None:
    before = columns(session, complete.cassandra.keyspace)
    version = session.execute("SELECT schema_version FROM system.local").one()
    await apply(complete, complete.cassandra.contact_points)
    assert columns(session, complete.cassandra.keyspace) == before
    assert session.execute("SELECT schema_version FROM system.local").one() == version


async def test_a_keyspace_that_was_dropped_comes_back_empty(session: Session, complete: Settings) -> None:
    """Table ids follow from names, so the tables come back under the ids they had."""
    keyspace = complete.cassandra.keyspace
    session.set_keyspace(keyspace)
    session.execute("INSERT INTO users (userid, firstname) VALUES (%s, 'Ann')", [uuid4()])
    session.execute(f"DROP KEYSPACE {keyspace}")
    await apply(complete, complete.cassandra.contact_points)
    assert session.execute("SELECT userid FROM users").all() == []


async def test_what_an_older_database_lacks_is_added_and_its_rows_stay(
    session: Session, own_settings: Settings, keyspace: str
) -> None:
    """The integration tests' own credentials table, and tables from before there were totals, dates and previews."""
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {own_settings.cassandra.replication}")
    for statement in (
        "user_credentials (email text PRIMARY KEY, pass text, userid uuid)",
        "users (userid uuid PRIMARY KEY, firstname text, lastname text, email text)",
        "video_ratings_by_user (videoid uuid, userid uuid, rating int, PRIMARY KEY (videoid, userid))",
        "videos (videoid uuid PRIMARY KEY, userid uuid, name text, description text, location text, location_type int, tags set<text>, "
        "added_date timestamp, mood text)",
    ):
        session.execute(f"CREATE TABLE {keyspace}.{statement}")
    session.set_keyspace(keyspace)
    user, video = uuid4(), uuid4()
    session.execute("INSERT INTO user_credentials (email, pass, userid) VALUES ('a@b.com', 'old', %s)", [user])
    session.execute("INSERT INTO users (userid, firstname) VALUES (%s, 'Ann')", [user])
    session.execute("INSERT INTO videos (videoid, name, tags, mood) VALUES (%s, 'V', {'x'}, 'calm')", [video])
    session.execute("INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (%s, %s, 4)", [video, user])

    await apply(own_settings, own_settings.cassandra.contact_points)

    assert_complete(session, keyspace)
    credentials = session.execute("SELECT email, pass, userid, password FROM user_credentials").all()
    assert [tuple(row) for row in credentials] == [("a@b.com", "old", user, None)]
    users = session.execute("SELECT userid, firstname, created_date FROM users").all()
    assert [tuple(row) for row in users] == [(user, "Ann", None)]
    videos = session.execute("SELECT videoid, name, tags, mood, preview_image_location FROM videos").all()
    assert [(row.videoid, row.name, set(row.tags), row.mood, row.preview_image_location) for row in videos] == [
        (video, "V", {"x"}, "calm", None)
    ]
    ratings = session.execute("SELECT userid, rating, version FROM video_ratings_by_user").all()
    assert [tuple(row) for row in ratings] == [(user, 4, None)]


async def test_the_tables_of_an_older_version_get_the_options_of_the_file_and_keep_their_rows_and_other_options(
    session: Session, own_settings: Settings, keyspace: str
) -> None:
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {own_settings.cassandra.replication}")
    for statement in (
        "user_ratings (userid uuid, rated_at timestamp, videoid uuid, rating int, PRIMARY KEY ((userid), rated_at, videoid))"
        " WITH CLUSTERING ORDER BY (rated_at DESC, videoid ASC) AND comment = 'ours'",
        "suggestion_lists (kind text, id uuid, made_at timestamp, checked_at timestamp, basis text, watched frozen<list<uuid>>,"
        " watched_ratings bigint, videoids frozen<list<uuid>>, reasons text, PRIMARY KEY ((kind, id), made_at))"
        " WITH CLUSTERING ORDER BY (made_at DESC) AND default_time_to_live = 86400",
        "suggestion_refreshes (kind text, id uuid, owner uuid, PRIMARY KEY ((kind, id)))",
        "played_video_marks (minute timestamp, level int, videoid uuid, PRIMARY KEY ((minute), level, videoid))"
        " WITH CLUSTERING ORDER BY (level DESC, videoid ASC) AND default_time_to_live = 604800",
        "popular_videos (list int, videoid uuid, folded_until timestamp static, PRIMARY KEY ((list), videoid))",
    ):
        session.execute(f"CREATE TABLE {keyspace}.{statement}")
    session.set_keyspace(keyspace)
    user, video = uuid4(), uuid4()
    session.execute("INSERT INTO user_ratings (userid, rated_at, videoid, rating) VALUES (%s, 7, %s, 5)", [user, video])
    session.execute("INSERT INTO popular_videos (list, videoid) VALUES (0, %s)", [video])

    await apply(own_settings, own_settings.cassandra.contact_points)

    assert_complete(session, keyspace)
    rows = session.execute("SELECT videoid, rating, changed_at FROM user_ratings WHERE userid = %s", [user]).all()
    assert [tuple(row) for row in rows] == [(video, 5, None)]
    assert session.execute("SELECT videoid FROM popular_videos").one().videoid == video
    comment = session.execute(
        "SELECT comment FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'user_ratings'", [keyspace]
    ).one()
    assert comment.comment == "ours"


def test_a_step_killed_in_the_middle_is_finished_by_the_next(
    session: Session, environment: dict[str, str], keyspace: str, tmp_path: Path
) -> None:
    own = {**environment, "KILLRVIDEO_CASSANDRA_KEYSPACE": keyspace}
    step = Process("schema", [sys.executable, "-m", "schema"], tmp_path / "killed.log", environment=own, folder=ROOT)
    step.start()
    wait_until(lambda: len(columns(session, keyspace)) >= 3, 60, "the first tables")
    step.kill()
    assert len(columns(session, keyspace)) < len(read_tables(CQL_FILE.read_text())), "killed too late to show anything"
    run_module("schema", environment=own, folder=tmp_path)
    assert_complete(session, keyspace)


async def test_a_column_of_another_type_is_named_and_nothing_is_touched(
    session: Session, own_settings: Settings, keyspace: str
) -> None:
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {own_settings.cassandra.replication}")
    session.execute(f"CREATE TABLE {keyspace}.videos (videoid uuid PRIMARY KEY, name int)")
    with pytest.raises(SchemaMismatch, match=f"{keyspace}.videos.name is int"):
        await apply(own_settings, own_settings.cassandra.contact_points)
    assert set(columns(session, keyspace)) == {"videos"}
    assert set(columns(session, keyspace)["videos"]) == {"videoid", "name"}


def test_cassandra_stays_advertised_after_the_step(
    session: Session, environment: dict[str, str], etcd: Etcd, tmp_path: Path
) -> None:
    run_module("schema", environment=environment, folder=tmp_path)
    address = environment["KILLRVIDEO_DSE_CONTACT_POINTS"]
    assert advertised(etcd.address, "cassandra")[address] == address
    url = f"http://{etcd.address}/v2/keys/killrvideo/services/cassandra/{address}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert json.load(answer)["node"].get("ttl", 10**9) > 10**8, "nobody renews it, so it must not expire soon"


def test_while_it_stays_the_entry_is_renewed_and_goes_at_the_end(
    bare_cassandra: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    with Etcd(tmp_path / "etcd", free_port()) as own_etcd:
        own = {
            **environment,
            "KILLRVIDEO_ETCD": own_etcd.address,
            "KILLRVIDEO_TTL": "1",
            "KILLRVIDEO_CASSANDRA_ADVERTISED": "192.0.2.7:9042",
        }
        step = Process(
            "schema", [sys.executable, "-m", "schema", "--stay"], tmp_path / "stay.log", environment=own, folder=ROOT
        )
        with step:
            wait_until(lambda: bool(advertised(own_etcd.address, "cassandra")), 60, "the entry")
            assert advertised(own_etcd.address, "cassandra") == {"192.0.2.7:9042": "192.0.2.7:9042"}
            own_etcd.restart()
            own_etcd.wait_ready()
            wait_until(lambda: bool(advertised(own_etcd.address, "cassandra")), 10, "the entry after etcd's restart")
            step.send(signal.SIGTERM)
            assert step.wait_end(10) == 0, step.log_text()
        assert advertised(own_etcd.address, "cassandra") == {}


def test_without_cassandra_it_waits_and_can_be_stopped(environment: dict[str, str], tmp_path: Path) -> None:
    own = {**environment, "KILLRVIDEO_DSE_CONTACT_POINTS": f"127.0.0.1:{free_port()}"}
    step = Process("schema", [sys.executable, "-m", "schema"], tmp_path / "waiting.log", environment=own, folder=ROOT)
    with step:
        wait_until(lambda: "waiting for Cassandra" in step.log_text(), 30, "the line that says so")
        step.terminate()
        assert step.wait_end(10) == 130


def test_a_replication_that_cassandra_does_not_know_ends_the_step_with_its_words(
    environment: dict[str, str], keyspace: str, tmp_path: Path, bare_cassandra: Any
) -> None:
    own = {
        **environment,
        "KILLRVIDEO_CASSANDRA_KEYSPACE": keyspace,
        "KILLRVIDEO_CASSANDRA_REPLICATION": "{'class': 'NoSuchStrategy', 'replication_factor': 1}",
    }
    step = Process("schema", [sys.executable, "-m", "schema"], tmp_path / "refused.log", environment=own, folder=ROOT)
    step.start()
    assert step.wait_end(60) == 1
    assert "NoSuchStrategy" in step.log_text()
    assert "Traceback" not in step.log_text()


def test_the_file_is_understood_whole_and_other_statements_are_refused() -> None:
    tables = {table.name: table for table in read_tables(CQL_FILE.read_text())}
    assert set(CONTRACT) <= set(tables)
    statics = {column.name for column in tables["video_ratings_by_user"].columns if column.kind == "static"}
    assert {"ratings_count", "ratings_total", "version"} <= statics
    with pytest.raises(ValueError, match="DROP TABLE"):
        read_tables("DROP TABLE videos;")
    with pytest.raises(ValueError, match="not an option that is compared, in t: comment"):
        read_tables("CREATE TABLE IF NOT EXISTS t (a int, PRIMARY KEY ((a))) WITH comment = 'x';")
    with pytest.raises(ValueError, match="not a CREATE TABLE"):
        read_tables("CREATE TABLE IF NOT EXISTS t (a int);")


def test_table_ids_follow_from_the_names() -> None:
    [table] = read_tables("CREATE TABLE IF NOT EXISTS t (a int, b map<text, int>, PRIMARY KEY ((a)));")
    assert table.creation("k") == table.creation("k")
    assert table.creation("k") != table.creation("other")
    UUID(table.creation("k").rsplit(" ", 1)[1])
