"""CONTRIBUTING.md's "Add a service" and "Add a call" are true: followed in a copy of the checkout, they give a service and a call that work.

By hand are written the files of additions.py, which are those that CONTRIBUTING.md names; the rest is generated.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid1, uuid4

import pytest

from infra.cassandra import Cassandra
from infra.etcd import Etcd
from infra.layout import LOCAL, ROOT
from infra.ports import free_port
from infra.processes import Process
from tests.conventions.additions import CALL, SERVICE, Change, apply

SECONDS = 300.0
"""Far more than any one step takes."""


class Done(NamedTuple):
    """What came of a command."""

    code: int
    said: str


class Checkout(NamedTuple):
    """A copy of this checkout."""

    root: Path

    def python(self, *arguments: str, **environment: str) -> Done:
        """Run Python in it to its end."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def make(self, target: str) -> Done:
        """`make TARGET` with this checkout's virtual environment: setting up another would take minutes."""
        command = "import sys; from infra import commands; sys.exit(commands.run(sys.argv[1], []))"
        return self.python("-c", command, target, KILLRVIDEO_LOCAL=str(LOCAL))

    def conventions(self) -> Done:
        """The tests that hold services and deployments against the catalogue and the contract, but this one."""
        tests = ["tests/conventions", "tests/deploy/test_compose.py", "tests/deploy/test_kubernetes.py"]
        ours = Path(__file__).relative_to(ROOT)
        return self.python("-m", "pytest", *tests, "tests/deploy/test_generated.py", f"--ignore={ours}")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of what git knows of this checkout, and of what the type checker has found out already."""
    root = tmp_path_factory.mktemp("adding") / "checkout"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", root / ".mypy_cache")
    return Checkout(root)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, bare_cassandra: Cassandra) -> Iterator[dict[str, str]]:
    """Settings of processes that have an etcd and a keyspace of their own."""
    with Etcd(tmp_path_factory.mktemp("adding") / "etcd", free_port()) as etcd:
        yield {
            "KILLRVIDEO_ETCD": etcd.address,
            "KILLRVIDEO_DSE_CONTACT_POINTS": bare_cassandra.address,
            "KILLRVIDEO_CASSANDRA_KEYSPACE": "adding",
        }


@contextmanager
def served(checkout: Checkout, slug: str, environment: Mapping[str, str]) -> Iterator[None]:
    """The service's process, from the schema step until it is found; stopped at the end."""
    schema = checkout.python("-m", "schema", **environment)
    assert schema.code == 0, schema.said
    process = Process(
        slug,
        [sys.executable, "-m", f"services.{slug}"],
        checkout.root.parent / f"{slug}.log",
        environment={**environment, "KILLRVIDEO_LISTEN_PORT": str(free_port())},
        folder=checkout.root,
        stop_seconds=15.0,
    )
    with process:
        waited = checkout.python("-m", "client", "wait", slug, "--timeout", "60", **environment)
        assert waited.code == 0, f"{waited.said}\n{process.log_text()}"
        yield


def call(checkout: Checkout, slug: str, method: str, environment: Mapping[str, str], **fields: Any) -> Any:
    """The answer to a call through the client's command."""
    done = checkout.python("-m", "client", "call", slug, method, json.dumps(fields), **environment)
    assert done.code == 0, done.said
    return json.loads(done.said)


def section(title: str) -> str:
    """A section of CONTRIBUTING.md."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("title", "slug", "changes", "most"),
    [("Add a service", "playlists", SERVICE, 6), ("Add a call", "comments", CALL, 3)],
)
def test_the_guide_names_the_files_that_are_written_by_hand(
    title: str, slug: str, changes: dict[str, Change], most: int
) -> None:
    steps = re.findall(r"^\d\. `([^`]+)`", section(title), re.MULTILINE)
    assert [step.replace("<name>", slug) for step in steps] == list(changes)
    assert len(changes) <= most


def test_a_service_is_added_by_six_files_and_can_be_called(checkout: Checkout, place: dict[str, str]) -> None:
    apply(SERVICE, checkout.root)
    missing = checkout.python("-m", "deploy.generate", "--check")
    assert missing.code == 1
    for name in ("compose.yaml", "supervisord.conf", "client/stubs.py", "services/playlists/__main__.py"):
        assert name in missing.said
    for step in (checkout.make("generate"), checkout.conventions(), checkout.make("check")):
        assert step.code == 0, step.said

    user, playlist = str(uuid4()), str(uuid4())
    with served(checkout, "playlists", place):
        fields = {"user_id": {"value": user}, "playlist_id": {"value": playlist}, "name": "Cats"}
        assert call(checkout, "playlists", "CreatePlaylist", place, **fields) == {}
        refused = checkout.python("-m", "client", "call", "playlists", "CreatePlaylist", "{}", **place)
        assert refused.code == 1
        assert "playlist_id" in refused.said


def test_a_call_is_added_by_three_files_and_can_be_called(checkout: Checkout, place: dict[str, str]) -> None:
    apply(CALL, checkout.root)
    for step in (checkout.make("generate"), checkout.conventions(), checkout.make("check")):
        assert step.code == 0, step.said

    video, user = {"value": str(uuid4())}, {"value": str(uuid4())}
    with served(checkout, "comments", place):
        for comment in ("first", "second"):
            fields = {"video_id": video, "user_id": user, "comment_id": {"value": str(uuid1())}, "comment": comment}
            call(checkout, "comments", "CommentOnVideo", place, **fields)
        latest = call(checkout, "comments", "GetLatestComment", place, video_id=video)
        assert latest == {"user_id": user, "comment": "second"}
