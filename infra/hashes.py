"""Writes the locks, requirements.lock and requirements-dev.lock: the pinned packages with the hashes of all files of each release.

`python -m infra.hashes` after a pin has changed. uv, from requirements-ci.txt, asks the package index that this machine uses for the hashes; no
lock names it. pip refuses a file that has another hash.
"""

import re
import subprocess
import sys
from pathlib import Path

from infra.layout import ROOT

REQUIREMENTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
_COMPILE = ("pip", "compile", "-", "--quiet", "--no-deps", "--universal", "--python-version", "3.11")
_FORM = ("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url")


def lock_of(requirements: Path) -> Path:
    """The lock of a file of requirements."""
    return requirements.with_suffix(".lock")


def pins(path: Path) -> list[str]:
    """The pins (`name==version`) in a file of requirements or in a lock, without what other files hold."""
    return re.findall(r"^[\w.-]+==[^\s;\\]+", path.read_text(encoding="utf-8"), re.MULTILINE)


def main() -> None:
    """Write the locks; ends with uv's exit code if it fails."""
    for path in REQUIREMENTS:
        done = subprocess.run(
            [sys.executable, "-m", "uv", *_COMPILE, *_FORM, "--output-file", str(lock_of(path))],
            input="\n".join(pins(path)),
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.returncode)
        print(f"wrote {lock_of(path).name}")


if __name__ == "__main__":
    main()
