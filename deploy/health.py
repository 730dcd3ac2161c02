"""Whether every service in this container serves: exit code 0 if so, else 1 with what is wrong. The image's HEALTHCHECK.

What runs here is read from the process table rather than from a setting, so that one command fits a container of one service, of seven
processes under supervisord, and of seven services in one process.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SHARED_PORT = 8899
PORTS = {
    "services": SHARED_PORT,
    "services.comments": 8101,
    "services.ratings": 8201,
    "services.search": 8301,
    "services.statistics": 8401,
    "services.suggested_videos": 8501,
    "services.user_management": 8601,
    "services.video_catalog": 8701,
}
_SECONDS = 3.0


class Running(NamedTuple):
    """A process that hosts services: its module, and the environment it was started with."""

    module: str
    environment: dict[str, str]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.environment.get("KILLRVIDEO_LISTEN_PORT") or PORTS[self.module])


def running(processes: Path = Path("/proc")) -> Iterator[Running]:
    """The processes here that host services."""
    for folder in processes.glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().split("\0")
            if "-m" in command and (module := command[command.index("-m") + 1]) in PORTS:
                pairs = (folder / "environ").read_text().split("\0")
                yield Running(module, dict(pair.split("=", 1) for pair in pairs if "=" in pair))
        except (OSError, IndexError):
            continue  # it has ended meanwhile, or is another's


def channel_to(process: Running) -> grpc.Channel:
    """A channel to a process in this container, with TLS if it takes nothing else.

    We have no other certificate than the server's own: it is what we trust, and what we show if callers must show one.
    """
    address = f"127.0.0.1:{process.port}"
    certificate, key = (process.environment.get(f"KILLRVIDEO_GRPC_{name}") for name in ("CERTIFICATE", "KEY"))
    if not (certificate and key):
        return grpc.insecure_channel(address)
    chain = Path(certificate).read_bytes()
    ours = (Path(key).read_bytes(), chain) if process.environment.get("KILLRVIDEO_GRPC_CLIENT_CA") else (None, None)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(chain, *ours))


def fault(process: Running) -> str | None:
    """What is wrong with a process; None if it serves."""
    try:
        with channel_to(process) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except grpc.RpcError as error:
        return f"{process.module} on port {process.port} does not answer: {error.code().name}"
    except OSError as error:
        return f"{process.module}: its certificate cannot be read: {error}"
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return f"{process.module} on port {process.port} is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"
    return None


def main() -> None:
    """Print what is wrong and exit 1, or exit 0."""
    found = list(running())
    faults = [text for text in map(fault, found) if text] if found else ["no service runs here"]
    if faults:
        print("; ".join(faults))
        sys.exit(1)


if __name__ == "__main__":
    main()
