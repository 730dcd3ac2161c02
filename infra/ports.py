"""Ports on this machine: free ones for tests, and a clear message about those that are taken."""

import errno
import random
import socket

from grpc_discovery.settings import METRICS_PORT_OFFSET
from infra.errors import InfraError

# Below the range from which Linux takes the ports of outgoing connections, so that none of those takes a port after it was chosen.
FIRST_FREE = 15000
LAST_FREE = 31000

_given: set[int] = set()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now."""
    return _refusal(port, host) is None


def _refusal(port: int, host: str) -> OSError | None:
    """Why a server could not listen on this port now; None if it could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody uses and that this process has not handed out before; the same holds for the one of its metrics."""
    for _ in range(1000):
        # Every other stretch is left for the metrics of those who listen below it.
        port = random.randrange(FIRST_FREE, LAST_FREE, 2 * METRICS_PORT_OFFSET) + random.randrange(METRICS_PORT_OFFSET)
        if port not in _given and is_free(port, host) and is_free(port + METRICS_PORT_OFFSET, host):
            _given.add(port)
            return port
    raise InfraError(f"no free port found between {FIRST_FREE} and {LAST_FREE} on {host}")


def require_free(port: int, what: str, setting: str, host: str = "127.0.0.1") -> None:
    """Raise InfraError, naming the port and the setting that moves it, if no server can listen there."""
    refusal = _refusal(port, host)
    if refusal is None:
        return
    if refusal.errno == errno.EADDRINUSE:
        raise InfraError(
            f"port {port} for {what} on {host} is taken by another program; stop it, or choose another with {setting}"
        )
    if refusal.errno == errno.EACCES:
        raise InfraError(f"port {port} for {what} is kept for root; choose one above 1023 with {setting}")
    raise InfraError(f"{what} cannot listen on {host}: {refusal.strerror or refusal}; see KILLRVIDEO_LISTEN_HOST")
