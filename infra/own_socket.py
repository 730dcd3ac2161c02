"""Refusing a socket that somebody else has put where ours should be: /tmp is open to every user of the machine."""

import os
import pwd
from pathlib import Path

from infra.errors import InfraError


def require_own(socket: Path) -> None:
    """Raise InfraError, naming the owner, if there is a socket (or anything else) of another user at this path."""
    try:
        owner = socket.lstat().st_uid
    except FileNotFoundError:
        return
    if owner != os.geteuid():
        raise InfraError(
            f"{socket}, over which the services are started and stopped, belongs to {_name_of(owner)}: "
            "whoever put it there could pass for our supervisord. Have it removed, or move the checkout"
        )


def _name_of(user: int) -> str:
    try:
        return f"user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"user number {user}"
