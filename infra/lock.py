"""One `make run` at a time in a checkout: a lock that goes with the process that holds it. Standard library only."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from infra.errors import InfraError
from infra.layout import RUN

LOCK = RUN / "lock"


@contextlib.contextmanager
def running(path: Path = LOCK) -> Iterator[None]:
    """Be the one that runs; raise InfraError naming the other if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InfraError(
                f"KillrVideo runs already (process {holder(path)}): `make status` shows it, `make stop` ends it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(path: Path = LOCK) -> int | None:
    """The process that runs, None if there is none."""
    try:
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
    except FileNotFoundError:
        pass
    return None
