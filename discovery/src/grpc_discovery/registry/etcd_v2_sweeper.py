"""Keeping the process that outlives us (sweeper.py): begun with the first entry, begun again if somebody killed it, ended when no entry is left.

While we live a shell waits in it, which takes next to no memory. What it has to know goes to it by its standard input, so that a password
stands neither in its arguments nor in its environment.
"""

import asyncio
import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

from grpc_discovery.registry.etcd_v2_client import authorization, in_daemon_thread
from grpc_discovery.settings import RegistrySettings

_PROGRAM = Path(__file__).with_name("sweeper.py")
# The first line is for the sweeper. A second one says that we ended in order; the end of the input without one, that we died.
_SHELL = 'IFS= read -r said && { read -r _ || printf "%s\\n" "$said" | "$0" -I -S "$1"; }'
_INTERVAL_SECONDS = 0.25
_INTERVAL_WITH_USER_SECONDS = 1.0


class SweeperProcess:
    """The one sweeper of a registry object."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._ttl = 0.0
        self._paths: set[str] = set()
        self._beginning = asyncio.Lock()

    async def ensure(self, path: str, ttl: float) -> None:
        """See to it that the process runs, for an entry that lives `ttl` seconds."""
        self._paths.add(path)
        if self._process and self._process.poll() is None and ttl <= self._ttl:
            return
        async with self._beginning:
            if self._process and self._process.poll() is None and ttl <= self._ttl:
                return
            before, self._ttl = self._process, max(ttl, self._ttl)
            self._process = await in_daemon_thread(partial(_begin, self._told()))
            if before:
                _end(before, in_order=True)

    def forget(self, path: str) -> None:
        """An entry has been withdrawn."""
        self._paths.discard(path)

    async def close(self) -> None:
        """End the process, or leave it to sweep if there are entries that could not be withdrawn."""
        async with self._beginning:
            if self._process:
                _end(self._process, in_order=not self._paths)
                self._process = None

    def _told(self) -> bytes:
        """What the sweeper has to know, as one line."""
        etcd = self._settings.etcd
        told = {
            "members": [str(member) for member in etcd.members],
            "root": self._settings.root,
            "headers": authorization(etcd.user),
            "tls": etcd.tls.given,
            "ca": str(etcd.tls.ca) if etcd.tls.ca else None,
            "certificate": str(etcd.tls.certificate) if etcd.tls.certificate else None,
            "key": str(etcd.tls.key) if etcd.tls.key else None,
            "ttl": self._ttl,
            "interval": _INTERVAL_WITH_USER_SECONDS if etcd.user else _INTERVAL_SECONDS,
        }
        return json.dumps(told).encode() + b"\n"


def _begin(told: bytes) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        ["/bin/sh", "-c", _SHELL, sys.executable, str(_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        start_new_session=True,
        bufsize=0,
    )
    try:
        if process.stdin:
            process.stdin.write(told)
    except OSError:
        pass  # killed already: the next renewal begins another
    return process


def _end(process: "subprocess.Popen[bytes]", *, in_order: bool) -> None:
    """Let a sweeper end, at once or after its sweeping, and take note of its end, so that none is left as a zombie."""
    try:
        if process.stdin:
            if in_order:
                process.stdin.write(b"nothing is left\n")
            process.stdin.close()
    except OSError:
        pass  # somebody has killed it
    threading.Thread(target=process.wait, name="sweeper", daemon=True).start()
