"""supervisord as `make run` uses it: supervisord.conf with ports and socket moved, and instances started and stopped by name."""

import hashlib
import http.client
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from common.catalogue import SERVICES
from infra.errors import InfraError
from infra.layout import LOCAL
from infra.own_socket import require_own
from infra.supervisord_conf import GROUP, render

# In /tmp because the path of a socket may have no more than 107 characters; named after .local/ so that each checkout has its own.
SOCKET = Path(f"/tmp/killrvideo-{hashlib.sha256(str(LOCAL).encode()).hexdigest()[:12]}.sock")  # noqa: S108  # chmod 0700 below


@dataclass(frozen=True)
class Slot:
    """One instance as supervisord knows it."""

    slug: str
    number: int
    state: str
    pid: int

    @property
    def name(self) -> str:
        """Its name under supervisord, without the group."""
        return f"{self.slug}-{self.number}"

    @property
    def up(self) -> bool:
        """Whether its process is there or on its way."""
        return self.state in ("STARTING", "RUNNING", "BACKOFF")

    @property
    def down(self) -> bool:
        """Whether it can be started. One that is stopping is neither up nor down: supervisord would start it in silence, that is, not at all."""
        return not self.up and self.state != "STOPPING"


def base_ports(offset: int = 0) -> dict[str, int]:
    """The port before that of each service's first instance: instance n listens on this plus n."""
    return {known.slug: known.port - 1 + offset for known in SERVICES.values()}


def write_configuration(target: Path, offset: int) -> None:
    """supervisord.conf with the ports moved by `offset` (whole hundreds) and the socket of this checkout."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(offset, str(SOCKET), f"{target.parent}/supervisord.pid"), encoding="utf-8")


class Supervisor:
    """A supervisord that runs, asked over its socket. Raises InfraError when it does not answer."""

    def __init__(self, socket: Path = SOCKET) -> None:
        self._socket = socket

    def slots(self) -> list[Slot]:
        """All instances, those that do not run among them, in order."""
        found = []
        for row in self._ask("getAllProcessInfo"):
            slug, _, number = row["name"].rpartition("-")
            found.append(Slot(slug, int(number), row["statename"], row["pid"]))
        return sorted(found, key=lambda slot: (slot.slug, slot.number))

    def answers(self) -> bool:
        """Whether it can be asked now."""
        try:
            return bool(self._ask("getState")["statename"] == "RUNNING")
        except InfraError:
            return False

    def start(self, name: str) -> None:
        """Begin an instance; returns at once."""
        self._ask("startProcess", f"{GROUP}:{name}", False)

    def stop(self, *names: str, timeout: float = 20.0) -> None:
        """Stop instances side by side and return when all have ended."""
        for name in names:
            self._ask("stopProcess", f"{GROUP}:{name}", False)
        deadline = time.monotonic() + timeout
        for name in names:
            while self._ask("getProcessInfo", f"{GROUP}:{name}")["statename"] not in ("STOPPED", "EXITED", "FATAL"):
                if time.monotonic() > deadline:
                    raise InfraError(f"{name} does not stop")
                time.sleep(0.1)

    def _ask(self, method: str, *arguments: object) -> Any:
        require_own(self._socket)
        # A transport of its own for each request: one that has failed once cannot be used again.
        server = xmlrpc.client.ServerProxy("http://127.0.0.1", SupervisorTransport(serverurl=f"unix://{self._socket}"))
        try:
            return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise InfraError(f"supervisord refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException) as error:
            raise InfraError(f"supervisord does not answer at {self._socket}: {error}") from error
