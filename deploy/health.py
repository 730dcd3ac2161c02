"""Whether every service in this container serves: exit code 0 if so, else 1 with what is wrong. The image's HEALTHCHECK.

What runs here is read from the process table rather than from a setting, so that one command fits a container of one service, of all
under supervisord, and of several in one process.
"""

import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from common.catalogue import SERVICES, SHARED_PORT
from grpc_discovery.addresses import Address, is_unspecified, parse_host
from infra.lock import environment_of

PORTS = {"services": SHARED_PORT} | {known.module: known.port for known in SERVICES.values()}
_SECONDS = 3.0


class Running(NamedTuple):
    """A process that hosts services: its module, and the environment it was started with."""

    module: str
    environment: dict[str, str]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.environment.get("KILLRVIDEO_LISTEN_PORT") or PORTS[self.module])

    @property
    def address(self) -> Address:
        """Where it can be called from inside the container."""
        host = parse_host(self.environment.get("KILLRVIDEO_LISTEN_HOST") or "127.0.0.1")
        if is_unspecified(host):
            host = "::1" if ":" in host else "127.0.0.1"
        return Address(host, self.port)

    def file(self, name: str) -> Path | None:
        """The file that a setting of its environment names."""
        path = self.environment.get(f"KILLRVIDEO_{name}")
        return Path(path) if path else None


def running(processes: Path = Path("/proc")) -> Iterator[Running]:
    """The processes here that host services."""
    for folder in processes.glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().split("\0")
            if "-m" in command and (module := command[command.index("-m") + 1]) in PORTS:
                yield Running(module, environment_of(folder))
        except (OSError, IndexError):
            continue  # it has ended meanwhile, or is another's


def channel_to(process: Running) -> grpc.Channel:
    """A channel to a process in this container, with TLS if it takes nothing else.

    We have no other certificate than the server's own: it is what we trust, and what we show if callers must show one.
    """
    certificate, key = process.file("GRPC_CERTIFICATE"), process.file("GRPC_KEY")
    if not (certificate and key):
        return grpc.insecure_channel(process.address.target)
    chain = certificate.read_bytes()
    ours = (key.read_bytes(), chain) if process.file("GRPC_CLIENT_CA") else (None, None)
    # A certificate holds the names by which others know the service, and seldom 127.0.0.1: any name that it holds will do here.
    name = name_in_certificate(process.address, certificate, key)
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.secure_channel(process.address.target, grpc.ssl_channel_credentials(chain, *ours), options)


def name_in_certificate(address: Address, certificate: Path, key: Path) -> str | None:
    """The first name in the certificate that the process at `address` shows; None where it has none, or does not show that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file need not hold the CA
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])  # without it gRPC breaks off
    try:
        with (
            socket.create_connection(address, timeout=_SECONDS) as connection,
            context.wrap_socket(connection) as channel,
        ):
            shown: dict[str, Any] = channel.getpeercert() or {}
    except OSError:
        return None  # the call that follows fails as well, and says so
    names = [value for kind, value in shown.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    # In the place of a star any word may stand.
    return names[0].replace("*", "any") if names else None


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
