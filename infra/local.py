"""The folder .local/: which version of this project made it, who is changing it, how much room its disk has. Standard library only."""

import contextlib
import errno
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from infra.errors import InfraError
from infra.layout import LAYOUT, LOCAL, ROOT
from infra.progress import say


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Check .local/, and make other set-ups wait meanwhile."""
    check_local()
    with (LOCAL / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is under way in this checkout; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_local() -> None:
    """Create .local/ if it is missing; raise InfraError if it is of another version."""
    version = LOCAL / "version"
    if not LOCAL.exists() or not any(LOCAL.iterdir()):
        LOCAL.mkdir(parents=True, exist_ok=True)
        version.write_text(f"{LAYOUT}\n", encoding="utf-8")
    found = version.read_text(encoding="utf-8").strip() if version.exists() else "unknown"
    if found != LAYOUT:
        raise InfraError(
            f"{LOCAL} was made by another version of this project (layout {found}, this one needs {LAYOUT}): "
            "`make clean` removes it with its data, the next command sets it up again"
        )


def remove_local() -> None:
    """Remove .local/ with all that is in it; raise InfraError where it is in use or was not created by us."""
    if LOCAL.exists():
        if LOCAL != ROOT / ".local" and not (LOCAL / "version").exists():
            raise InfraError(f"{LOCAL} was not made by this project, so nothing was removed")
        with (LOCAL / "setup.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InfraError("a set-up is under way in this checkout: let it end first") from None
            shutil.rmtree(LOCAL)
    say(f"removed {LOCAL}")


def require_space(needed_mb: int) -> None:
    """Raise InfraError if the disk of .local/ has less room than `needed_mb`."""
    if free_mb() < needed_mb:
        raise InfraError(
            f"only {free_mb()} MB are free on the disk of {LOCAL}, and {needed_mb} MB are needed: make room"
        )


def free_mb() -> int:
    """Free room on the disk of .local/, in MB."""
    return shutil.disk_usage(LOCAL).free // 1_000_000


def full_disk() -> InfraError:
    """The error for a full disk."""
    return InfraError(
        f"the disk of {LOCAL} is full ({free_mb()} MB free): make room and repeat the command; it continues where that is safe"
    )


def in_a_sentence(error: OSError) -> str | None:
    """What a person can do about the error; None for an error that they did not cause."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return str(full_disk())
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{error.filename}: {error.strerror}; this user must be able to write there. If an earlier command ran as root, "
            f"`sudo make clean` removes what it left"
        )
    return None


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically: it is there completely or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
