"""Two authorities: one that is trusted, and one that nobody knows."""

from pathlib import Path

import pytest

from tests.security.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that servers and callers trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture
def secret(tmp_path: Path) -> tuple[str, Path]:
    """A password that occurs nowhere else, and the file that holds it."""
    password = "correct-horse-7f3a9c"
    path = tmp_path / "password"
    path.write_text(f"{password}\n", encoding="utf-8")
    return password, path
