"""`make test-pythons` finds the interpreters that run, and no others."""

import sys
from pathlib import Path

import pytest

from infra.pythons import interpreter

pytestmark = pytest.mark.processes


def test_the_python_that_runs_this_is_found_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert interpreter(version) == Path(sys.executable).parent / f"python{version}"


def test_a_program_that_only_has_the_name_of_a_python_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As pyenv's shims are, for a version that is not chosen.
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    assert interpreter("3.12") != shim
    assert interpreter("9.9") is None


def test_pyenvs_folders_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    program = tmp_path / "versions" / f"{version}.1" / "bin" / f"python{version}"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert interpreter(version) == program
