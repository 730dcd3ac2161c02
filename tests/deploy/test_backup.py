"""Backup and restore of the keyspace by Cassandra's own means, step by step as docs/operations.md tells them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid1, uuid4

import pytest
from cassandra.cluster import Cluster, Session

from infra.cassandra import EXPORTS, OPENS, Cassandra
from infra.etcd import Etcd
from infra.layout import CASSANDRA_JARS
from infra.ports import free_port
from tests.processes import run_module

pytestmark = pytest.mark.processes

READY_SECONDS = 180.0


class Node(Cassandra):
    """A Cassandra that nodetool can talk to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, free_port())
        self.management_port = free_port()
        self.environment["JAVA_TOOL_OPTIONS"] = f"-Dcassandra.jmx.local.port={self.management_port}"

    def nodetool(self, *arguments: str) -> str:
        """Run one command of nodetool and return what it printed."""
        opened = [f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS] + [
            f"--add-opens={name}=ALL-UNNAMED" for name in OPENS
        ]
        done = subprocess.run(
            [
                "java",
                "-Xmx128m",
                *opened,
                f"-Duser.home={self.data}",
                "-cp",
                f"{CASSANDRA_JARS}/*",
                "org.apache.cassandra.tools.NodeTool",
                "-p",
                str(self.management_port),
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    member = Node(tmp_path / "cassandra")
    member.start()
    try:
        member.wait_ready(READY_SECONDS)
        yield member
    finally:
        member.stop()


@pytest.fixture
def session(node: Node) -> Iterator[Session]:
    cluster = Cluster([node.host], port=node.port, connect_timeout=30)
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def contents(session: Session) -> dict[str, list[str]]:
    """Every row of the keyspace, by table."""
    tables = session.execute("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'killrvideo'")
    names = sorted(row.table_name for row in tables)
    questions = {name: f"SELECT * FROM killrvideo.{name}" for name in names}  # noqa: S608  # names of tables
    return {name: sorted(map(str, session.execute(question, timeout=60))) for name, question in questions.items()}


def fill(session: Session, videos: list[UUID]) -> None:
    """Rows of each kind: with a set, a time UUID, static totals, a counter."""
    user = uuid4()
    for number, video in enumerate(videos):
        session.execute(
            "INSERT INTO killrvideo.videos (videoid, userid, name, tags, added_date) VALUES (%s, %s, %s, %s, toTimestamp(now()))",
            (video, user, f"Video {number}", {"one", "two"}),
        )
        session.execute(
            "INSERT INTO killrvideo.comments_by_video (videoid, commentid, userid, comment) VALUES (%s, %s, %s, %s)",
            (video, uuid1(), user, "Fine."),
        )
        session.execute(
            "INSERT INTO killrvideo.video_ratings_by_user (videoid, userid, rating) VALUES (%s, %s, %s)",
            (video, user, 4),
        )
        session.execute("UPDATE killrvideo.video_playback_stats SET views = views + 3 WHERE videoid = %s", (video,))


def test_a_snapshot_brings_a_lost_keyspace_back(node: Node, session: Session, etcd: Etcd, tmp_path: Path) -> None:
    settings = {"KILLRVIDEO_ETCD": etcd.address, "KILLRVIDEO_DSE_CONTACT_POINTS": node.address}
    run_module("schema", environment=settings, folder=tmp_path, timeout=180)
    fill(session, [uuid4() for _ in range(20)])
    before = contents(session)
    assert len(before["videos"]) == len(before["video_playback_stats"]) == 20

    node.nodetool("snapshot", "--tag", "monday", "killrvideo")
    kept = tmp_path / "kept"
    for snapshot in (node.data / "data" / "killrvideo").glob("*/snapshots/monday"):
        shutil.copytree(snapshot, kept / snapshot.parent.parent.name)

    session.execute("DROP KEYSPACE killrvideo", timeout=60)
    shutil.rmtree(node.data / "data" / "killrvideo", ignore_errors=True)

    run_module("schema", environment=settings, folder=tmp_path, timeout=180)
    assert contents(session)["videos"] == []
    restored = 0
    for folder in sorted(kept.iterdir()):
        if any(folder.glob("*-Data.db")):
            node.nodetool("import", "killrvideo", folder.name.rsplit("-", 1)[0], str(folder))
            restored += 1
    assert restored >= 4
    assert contents(session) == before
