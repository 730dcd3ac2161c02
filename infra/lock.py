"""One `make run` at a time in a checkout: a lock that ends with the process that holds it, and how to find that process. Standard library only."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from infra.errors import InfraError
from infra.layout import LOCAL, ROOT, RUN

LOCK = RUN / "lock"


@contextlib.contextmanager
def running(path: Path = LOCK) -> Iterator[None]:
    """Hold the lock; raise InfraError naming the process that runs already, if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        while not _taken(file, fcntl.LOCK_EX):
            if pid := holder(path):
                raise _runs_already(pid)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(path: Path = LOCK) -> int | None:
    """The process that runs, None if there is none."""
    try:
        with path.open() as file:
            # Shared, so that two commands that only look do not see each other.
            while not _taken(file, fcntl.LOCK_SH):
                file.seek(0)
                if pid := file.read():  # empty for an instant, between locking and writing
                    return int(pid)
    except FileNotFoundError:
        pass
    return None


def running_pid() -> int | None:
    """The process that runs in this checkout, None if there is none; found also when its lock file was deleted."""
    return holder() or _without_its_lock()


def require_running() -> int:
    """The process that runs in this checkout; raises InfraError where there is none."""
    pid = running_pid()
    if pid is None:
        raise InfraError("KillrVideo does not run: `make start` or `make run` starts it")
    return pid


def require_not_running() -> None:
    """Raise InfraError, naming the process, if there is one that runs in this checkout."""
    if pid := running_pid():
        raise _runs_already(pid)


def require_no_older_one() -> None:
    """Raise InfraError, naming it, if this checkout runs in an older process: for the holder of a lock whose file had been deleted."""
    if (pid := _without_its_lock()) and 0 < _start_of(pid) < _start_of(os.getpid()):
        raise _runs_already(pid)


def environment_of(process: Path) -> dict[str, str]:
    """The environment that a process was started with, by its folder in /proc. Raises OSError when it has ended or is another user's."""
    text = (process / "environ").read_bytes().decode(errors="surrogateescape")
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


def _runs_already(pid: int) -> InfraError:
    return InfraError(f"KillrVideo runs already (process {pid}): `make status` shows it, `make stop` ends it")


def _without_its_lock() -> int | None:
    """Another process that is `make run` of this checkout and this .local/, by its command line, its folder and its environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if pid == os.getpid() or command[1:4] != [b"-m", b"infra", b"run"]:
                continue
            checkout = (folder / "cwd").resolve(strict=True)
            local = environment_of(folder).get("KILLRVIDEO_LOCAL") or ROOT / ".local"
        except OSError:  # it has ended, or is another user's
            continue
        if checkout == ROOT and (checkout / local) == LOCAL:
            return pid
    return None


def _start_of(pid: int) -> int:
    """When a process was started, in ticks since the machine was; 0 for one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def _taken(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
