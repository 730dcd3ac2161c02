"""The gears of the tests (CONTRIBUTING.md): a test that starts a program carries the mark `processes`, and no other test can start one.

`make test-fast` runs those without the mark. Whole folders carry it where every test in them works on a real Cassandra, etcd or service.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

# Examples are bounded by their number: on a busy machine any of them may take long.
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

WITH_PROCESSES = ("chaos", "database", "fuzz", "processes", "repositories", "scenarios", "schema", "security")
"""Folders whose tests all carry the mark."""

FAST = "not processes"
"""What `make test-fast` selects."""

_start = subprocess.Popen.__init__
_gate = SimpleNamespace(is_open=True)


def _start_if_allowed(self: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
    if not _gate.is_open:
        raise RuntimeError("a test of the fast gear starts a program: mark it with `@pytest.mark.processes`")
    _start(self, *arguments, **options)


subprocess.Popen.__init__ = _start_if_allowed  # type: ignore[method-assign]  # for the tests of this run


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what the fast gear would leave out."""
    return True if config.option.markexpr == FAST and collection_path.name in WITH_PROCESSES else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in one of the folders."""
    for item in items:
        if Path(item.path).parent.name in WITH_PROCESSES:
            item.add_marker(pytest.mark.processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Let the tests with the mark start programs, also in the fixtures that they ask for first."""
    _gate.is_open = item.get_closest_marker("processes") is not None
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """What a marked test has started may end after a test without the mark."""
    _gate.is_open = True
    return (yield)
