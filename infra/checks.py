"""`make check`: lint, format, types, import rules and generated code."""

import subprocess
import sys
from pathlib import Path

from infra.errors import InfraError
from infra.layout import PYTHON, ROOT
from infra.progress import say

OWN_CODE = (
    "discovery/src",
    "discovery/tests",
    "common",
    "language",
    "services",
    "client",
    "schema",
    "infra",
    "sampledata",
    "loadtest",
    "benchmarks",
    "deploy",
    "tests",
    "conftest.py",
)


def run_checks() -> int:
    """Run every check, also after one has failed. Raises InfraError naming those that failed."""
    own = [name for name in OWN_CODE if (ROOT / name).exists()]
    programs = Path(sys.executable).parent
    steps = {
        "lint": ["-m", "ruff", "check", "."],
        "format": ["-m", "ruff", "format", "--check", "."],
        "types": ["-m", "mypy", *own],
        "import rules": [str(programs / "lint-imports"), "--no-cache"],
        "generated code": ["-m", "protos", "--check"],
        "generated files": ["-m", "deploy.generate", "--check"],
    }
    failed = []
    for name, step in steps.items():
        say(f"{name}: {' '.join(Path(part).name if part.startswith('/') else part for part in step)}")
        if subprocess.run([str(PYTHON), *step], cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        raise InfraError(f"failed: {', '.join(failed)}")
    say("all checks passed")
    return 0
