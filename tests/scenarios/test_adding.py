"""CONTRIBUTING.md's "Add a service" and "Add a call" are true: followed in a copy of the checkout, they give a service and a call that work.

By hand are written the files of additions.py, which are those that CONTRIBUTING.md names; the rest is generated.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
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
from tests.scenarios.additions import CALL, SERVICE, Change, apply

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
        command = "import sys; from infra import commands; sys.exit(commands.run_command(sys.argv[1], []))"
        return self.python("-c", command, target, KILLRVIDEO_LOCAL=str(LOCAL))


class Added(NamedTuple):
    """A checkout to which the service and the call were added, and what the check of the generated files said before they were generated."""

    checkout: Checkout
    before: Done


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
def added(checkout: Checkout) -> Added:
    """The files written by hand, and `make generate`."""
    apply(SERVICE | CALL, checkout.root)
    before = checkout.python("-m", "deploy.generate", "--check")
    generated = checkout.make("generate")
    assert generated.code == 0, generated.said
    return Added(checkout, before)


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
def served(checkout: Checkout, slug: str, environment: Mapping[str, str]) -> Iterator[Callable[..., Any]]:
    """Calls of a service by the client's command, `call(method, field=value)`, to a process of its own that is stopped at the end."""
    process = Process(
        slug,
        [sys.executable, "-m", f"services.{slug}"],
        checkout.root.parent / f"{slug}.log",
        environment={**environment, "KILLRVIDEO_LISTEN_PORT": str(free_port())},
        folder=checkout.root,
        stop_seconds=15.0,
    )

    def call(method: str, **fields: Any) -> Any:
        done = checkout.python("-m", "client", "call", slug, method, json.dumps(fields), **environment)
        assert done.code == 0, done.said
        return json.loads(done.said)

    with process:
        waited = checkout.python("-m", "client", "wait", slug, "--timeout", "60", **environment)
        assert waited.code == 0, f"{waited.said}\n{process.log_text()}"
        yield call


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


@pytest.mark.processes
def test_the_check_names_what_is_not_generated_yet(added: Added) -> None:
    assert added.before.code == 1
    for name in ("compose.yaml", "supervisord.conf", "client/stubs.py", "services/playlists/__main__.py"):
        assert name in added.before.said


@pytest.mark.processes
def test_what_was_added_keeps_the_conventions_without_an_edit_of_a_test(added: Added) -> None:
    deployments = [f"tests/deploy/test_{name}.py" for name in ("compose", "kubernetes", "generated")]
    kept = added.checkout.python("-m", "pytest", "tests/conventions", *deployments, "-rp")
    assert kept.code == 0, kept.said
    assert re.search(r"PASSED \S*test_services\S+\[playlists\]", kept.said)


@pytest.mark.processes
def test_what_was_added_passes_make_check(added: Added) -> None:
    checked = added.checkout.make("check")
    assert checked.code == 0, checked.said


@pytest.mark.processes
def test_the_added_service_and_the_added_call_answer_through_the_client(added: Added, place: dict[str, str]) -> None:
    schema = added.checkout.python("-m", "schema", **place)
    assert schema.code == 0, schema.said
    user, video, playlist = ({"value": str(uuid4())} for _ in range(3))

    with served(added.checkout, "playlists", place) as call:
        assert call("CreatePlaylist", user_id=user, playlist_id=playlist, name="Cats") == {}

    with served(added.checkout, "comments", place) as call:
        for comment in ("first", "second"):
            fields = {"video_id": video, "user_id": user, "comment_id": {"value": str(uuid1())}}
            call("CommentOnVideo", **fields, comment=comment)
        assert call("GetLatestComment", video_id=video) == {"user_id": user, "comment": "second"}
