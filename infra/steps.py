"""Running the programs that a set-up consists of: pip, Maven, venv. Standard library only."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence

from infra.errors import InfraError
from infra.local import full_disk
from infra.progress import say

# How pip and Maven report it.
_NO_ANSWER = re.compile(
    r"Retrying \(Retry|Unknown host|No plugin found for prefix|Connection refused|Network is unreachable|onnect timed out"
)
# What Maven says after an error is how to debug Maven.
_ADVICE = re.compile(r"\[ERROR\] *($|To see|Re-run|For more|\[Help)")
_SHOWN_LINES = 8


def run_step(
    command: Sequence[str],
    failure: str,
    follow: Callable[[str], None] | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a program to its end, with `environment` added to ours, and give each line it prints to `follow`.

    All that it started ends when we are interrupted or killed. Raises InfraError, beginning with `failure`, when it fails.
    """
    lines: list[str] = []
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    ) as child:
        try:
            for line in child.stdout or ():
                if _NO_ANSWER.search(line) and not _network_is_silent(lines):
                    say("the network does not answer; trying again")
                lines.append(line.rstrip())
                if follow:
                    follow(line)
            code = child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
    if code:
        raise _failed(failure, lines)


def _failed(failure: str, lines: Sequence[str]) -> InfraError:
    """Why a step failed, from what it printed."""
    if any("No space left on device" in line for line in lines):
        return full_disk()
    if _network_is_silent(lines):
        failure = f"{failure}, because the network did not answer"
    errors = [line for line in lines if "ERROR" in line and not _ADVICE.match(line)]
    return InfraError("\n".join([f"{failure}:", *(errors or lines)[:_SHOWN_LINES]]))


def _network_is_silent(lines: Sequence[str]) -> bool:
    return any(map(_NO_ANSWER.search, lines))
