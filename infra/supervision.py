"""supervisord as `make run` uses it: a copy of supervisord.conf with ports and socket moved, and instances started and stopped by name."""

import hashlib
import http.client
import re
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from infra.errors import InfraError
from infra.layout import LOCAL, ROOT

CONFIGURATION = ROOT / "supervisord.conf"
GROUP = "killrvideo"
MOST_INSTANCES = 99

# In /tmp because the path of a socket may have no more than 107 characters; named after .local/ so that each checkout has its own.
SOCKET = Path(f"/tmp/killrvideo-{hashlib.sha256(str(LOCAL).encode()).hexdigest()[:12]}.sock")  # noqa: S108  # chmod 0700 below

# What supervisord.conf itself says, for those who start it by hand.
PLAIN_SOCKET = "/tmp/killrvideo-supervisor.sock"  # noqa: S108
PLAIN_PID_FILE = "/tmp/killrvideo-supervisord.pid"  # noqa: S108

# As in supervisord.conf: the hundreds of the port, then the number of the instance.
_PORT = re.compile(r'(KILLRVIDEO_LISTEN_PORT=")(\d\d)(%\(process_num\)02d")')
_PROGRAM = re.compile(r"^\[program:(\w+)\]\n(?:.*\n)*?environment=KILLRVIDEO_LISTEN_PORT=\"(\d\d)", re.MULTILINE)


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
    """The port of each service's first instance but one: instance n listens on this plus n."""
    ports = {
        slug: int(hundreds) * 100 + offset
        for slug, hundreds in _PROGRAM.findall(CONFIGURATION.read_text(encoding="utf-8"))
    }
    return {slug: port for slug, port in ports.items() if not slug.endswith("_further")}


def write_configuration(target: Path, offset: int) -> None:
    """A copy of supervisord.conf with the ports moved by `offset` (whole hundreds) and the socket of this checkout."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    text = _PORT.sub(lambda found: f"{found[1]}{int(found[2]) + offset // 100}{found[3]}", text)
    pid_file = f"{target.parent}/supervisord.pid".replace("%", "%%")  # supervisord puts values in for %(names)
    text = text.replace(PLAIN_SOCKET, str(SOCKET)).replace(PLAIN_PID_FILE, pid_file)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


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
        # A transport of its own for each question: one that has failed once cannot be used again.
        server = xmlrpc.client.ServerProxy("http://127.0.0.1", SupervisorTransport(serverurl=f"unix://{self._socket}"))
        try:
            return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise InfraError(f"supervisord refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException) as error:
            raise InfraError(f"supervisord does not answer at {self._socket}: {error}") from error
