"""Sets up what is missing: the virtual environment, with the library in discovery/ installed from its folder, and Cassandra's jars.

Each is complete or not there: what an interrupted set-up left is replaced. Standard library only: this is what makes the rest available.
"""

import hashlib
import re
import shutil
import sys

from infra.hashes import REQUIREMENTS, lock_of, pins
from infra.jars import set_up_cassandra
from infra.layout import PYTHON, ROOT, VENV
from infra.local import one_at_a_time, require_space, write_whole
from infra.progress import Progress, say
from infra.steps import run_step

FREE_MB = 1200
LOCKS = tuple(map(lock_of, REQUIREMENTS))
LIBRARY = ROOT / "discovery"
_COMPLETE = VENV / "complete"


def set_up() -> None:
    """Set up everything that is missing; says nothing when nothing is."""
    with one_at_a_time():
        set_up_environment()
        set_up_cassandra()


def environment_is_ready() -> bool:
    """Whether the virtual environment is complete and holds the requirements of today."""
    return (
        PYTHON.exists()
        and _COMPLETE.exists()
        and _COMPLETE.read_text(encoding="utf-8") == _fingerprint_of_requirements()
    )


def set_up_environment() -> None:
    """The virtual environment with the pinned requirements and the library."""
    if environment_is_ready():
        return
    require_space(FREE_MB)
    if _COMPLETE.exists():
        # The requirements have changed: pip brings the environment up to date. Without this file nobody knows what is half there.
        _COMPLETE.unlink()
    else:
        shutil.rmtree(VENV, ignore_errors=True)
        say(f"virtual environment: {VENV}")
        run_step(
            [sys.executable, "-m", "venv", str(VENV)],
            "the virtual environment could not be made; on Debian: `apt-get install python3-venv`",
        )
    _install()
    write_whole(_COMPLETE, _fingerprint_of_requirements())


def _install() -> None:
    """Install the pinned packages, each file checked against its hash, and the library into the virtual environment."""
    progress = Progress("Python packages", sum(len(pins(path)) for path in LOCKS))

    def follow(line: str) -> None:
        if found := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
            progress.step(found[1])
        elif line.startswith("Installing collected"):
            progress.end("fetched, installing")

    install = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    locked = [argument for path in LOCKS for argument in ("-r", str(path))]
    run_step([*install, "--require-hashes", *locked], "pip failed", follow)
    # In a step of its own, because a folder has no hash; editable, so that a change of its code takes effect at once. What it depends on, and
    # what builds it, is among the pinned.
    run_step(
        [*install, "--no-deps", "--no-build-isolation", "--editable", str(LIBRARY)],
        "pip could not install the library of discovery/",
    )
    progress.end("installed")


def _fingerprint_of_requirements() -> str:
    """Of all that decides what the environment holds; the library's folder too, because a checkout that was moved has it elsewhere."""
    digest = hashlib.sha256(sys.version.split()[0].rpartition(".")[0].encode())
    digest.update(str(LIBRARY).encode())
    for path in (*LOCKS, LIBRARY / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest() + "\n"
