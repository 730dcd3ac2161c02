"""What a process leaves behind that advertised itself in etcd's v2 keys and died without a word.

Its entry goes by the TTL, but etcd keeps the directory, and existing clients fail on an empty one. While the process lives, a shell waits on
a pipe from it, which takes next to no memory. When the pipe breaks, the shell runs this file as a program: it waits for the entry to expire,
removes the directories that are left empty, and ends. Standard library only, because it has to start fast.
"""

import http.client
import json
import random
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import suppress
from typing import Any

# An entry that lives longer is meant to outlast its process, and nobody shall wait for its end.
_MAX_TTL_SECONDS = 3600.0
# The first line is for the program. A second one says that we ended in order; the end of the input without one, that we died.
_SHELL = 'IFS= read -r said && { read -r _ || printf "%s\\n" "$said" | "$0" -I -S "$1"; }'


class Sweeper:
    """The waiting shell: begun with the first entry, begun again if somebody killed it, ended when no entry is left. Its methods block."""

    def __init__(self, told: dict[str, Any]) -> None:
        """`told` is what main() reads. It goes by the standard input: a password stands neither in arguments nor in the environment."""
        self._told = told
        self._process: subprocess.Popen[bytes] | None = None
        self._ttl = 0.0
        self._paths: set[str] = set()
        self._lock = threading.Lock()

    def ensure(self, path: str, ttl: float) -> None:
        """See to it that the shell runs, for an entry that lives `ttl` seconds; not for one of more than an hour."""
        if ttl > _MAX_TTL_SECONDS:
            return
        with self._lock:
            self._paths.add(path)
            if self._process and self._process.poll() is None and ttl <= self._ttl:
                return
            before, self._ttl = self._process, max(ttl, self._ttl)
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL, sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
                bufsize=0,
            )
            _write(self._process, json.dumps(self._told | {"ttl": self._ttl}))
            if before:
                _end(before, in_order=True)

    def forget(self, path: str) -> None:
        """An entry has been withdrawn."""
        self._paths.discard(path)

    def close(self) -> None:
        """End the shell, or leave it to sweep if there are entries that could not be withdrawn."""
        with self._lock:
            if self._process:
                _end(self._process, in_order=not self._paths)
                self._process = None


def _write(process: "subprocess.Popen[bytes]", line: str) -> None:
    with suppress(OSError):  # killed already: the next renewal begins another
        if process.stdin:
            process.stdin.write(f"{line}\n".encode())


def _end(process: "subprocess.Popen[bytes]", *, in_order: bool) -> None:
    """Let it end, at once or after its sweeping, and take note of its end, so that none is left as a zombie."""
    if in_order:
        _write(process, "nothing is left")
    if process.stdin:
        process.stdin.close()
    threading.Thread(target=process.wait, name="sweeper", daemon=True).start()


def _sweep(address: str, root: str, headers: dict[str, str], context: ssl.SSLContext | None, seconds: float) -> None:
    """Remove the empty directories of services. Raises OSError or ValueError when this etcd member does not answer as it should."""
    if context:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(address, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(address, timeout=seconds)

    def ask(method: str, path: str) -> Any:
        connection.request(method, path, headers=headers)
        return json.loads(connection.getresponse().read())

    try:
        for child in ask("GET", f"/v2/keys{root}?recursive=true&quorum=true").get("node", {}).get("nodes", []):
            if child.get("dir") and not child.get("nodes"):
                # etcd refuses if an entry has come meanwhile.
                ask("DELETE", f"/v2/keys{urllib.parse.quote(child['key'])}?dir=true")
    finally:
        connection.close()


def main() -> None:
    """Sweep from shortly before the entry can expire until after it must have expired."""
    died = time.monotonic()
    told = json.loads(sys.stdin.readline())
    context = ssl.create_default_context(cafile=told["ca"]) if told["tls"] else None
    if context and told["certificate"]:
        context.load_cert_chain(told["certificate"], told["key"])
    # With a user etcd takes long for an answer, so that it is asked less and a request may take longer.
    interval, request = (1.0, 8.0) if told["headers"] else (0.25, 1.5)
    # The last renewal was at most a third of the TTL ago.
    time.sleep(told["ttl"] * 0.6)
    while time.monotonic() < died + told["ttl"] + 3:
        for address in told["members"]:
            # Else the next member; or, while etcd is away, it expires no entry either.
            with suppress(OSError, ValueError, http.client.HTTPException):
                _sweep(address, told["root"], told["headers"], context, request)
                break
        time.sleep(interval * random.uniform(0.7, 1.3))


if __name__ == "__main__":
    main()
