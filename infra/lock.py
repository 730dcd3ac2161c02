"""One `make run` at a time in a checkout: a lock that goes with the process that holds it. Standard library only."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from infra.errors import InfraError
from infra.layout import RUN

LOCK = RUN / "lock"


@contextlib.contextmanager
def running(path: Path = LOCK) -> Iterator[None]:
    """Be the one that runs; raise InfraError naming the other if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        while not _taken(file, fcntl.LOCK_EX):
            if pid := holder(path):
                raise InfraError(
                    f"KillrVideo runs already (process {pid}): `make status` shows it, `make stop` ends it"
                )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(path: Path = LOCK) -> int | None:
    """The process that runs, None if there is none."""
    try:
        with path.open() as file:
            # Shared, so that two who only look do not see each other.
            while not _taken(file, fcntl.LOCK_SH):
                file.seek(0)
                if pid := file.read():  # empty for a moment, between locking and writing
                    return int(pid)
    except FileNotFoundError:
        pass
    return None


def require_running() -> None:
    """Raise InfraError where nothing runs."""
    if holder() is None:
        raise InfraError("KillrVideo does not run: `make start` or `make run` starts it")


def _taken(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
