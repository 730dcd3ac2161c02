"""What the set-up downloads is what was pinned, file by file: the locks agree with the requirements, and pip is told to hold to them."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra import setup
from infra.hashes import REQUIREMENTS, lock_of, pins

EACH_FILE = pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)


def normalized(path: Path) -> list[str]:
    """The pins with the names as package indexes write them."""
    found = (pin.partition("==") for pin in pins(path))
    return sorted(f"{re.sub('[-_.]+', '-', name).lower()}=={version}" for name, _, version in found)


@EACH_FILE
def test_a_lock_holds_what_is_pinned(path: Path) -> None:
    assert normalized(path) == normalized(lock_of(path)), "`python -m infra.hashes` writes the locks again"


@EACH_FILE
def test_every_package_of_a_lock_has_hashes_and_no_address_is_named(path: Path) -> None:
    text = lock_of(path).read_text(encoding="utf-8")
    for package in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package.splitlines()[0]
    assert "://" not in text
    assert "-url" not in text


def test_the_set_up_installs_what_is_downloaded_by_its_hashes_and_then_ours_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[Sequence[str]] = []
    monkeypatch.setattr(setup, "run_step", lambda command, *_: steps.append(command))
    setup._install()
    downloaded, ours = steps
    assert "--require-hashes" in downloaded
    assert [word for word in downloaded if word.endswith(".lock")] == list(map(str, setup.LOCKS))
    assert "--no-deps" in ours
    assert str(setup.LIBRARY) in ours
