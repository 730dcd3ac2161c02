"""What is measured: a Cassandra with the schema in it, one of our services, the floor."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpc_discovery.addresses import Address, parse_address
from infra.cassandra import Cassandra
from infra.layout import PYTHON, ROOT
from infra.ports import free_port
from infra.processes import Process

READY_SECONDS = 120
KEYSPACE = "killrvideo"


class ServerProcess(Process):
    """A server on a port of its own. `start_seconds` is the time from its start to its first answer."""

    def __init__(self, name: str, arguments: list[str], port: int, log: Path, environment: dict[str, str]) -> None:
        super().__init__(name, [str(PYTHON), "-m", *arguments], log, environment=environment, folder=ROOT)
        self.address = f"127.0.0.1:{port}"
        self.start_seconds = 0.0

    def is_ready(self) -> bool:
        """Whether it answers; our servers say so themselves."""
        with grpc.insecure_channel(self.address) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=0.2)
                health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
                return bool(health.status == health_pb2.HealthCheckResponse.SERVING)
            except grpc.FutureTimeoutError:
                return False
            except grpc.RpcError as error:
                return error.code() == grpc.StatusCode.UNIMPLEMENTED


@contextmanager
def open_cassandra(address: str | None, folder: Path) -> Iterator[Address]:
    """The Cassandra at `address`, or one of our own for this run; with the schema in it."""
    with ExitStack() as stack:
        if address:
            point = parse_address(address)
        else:
            node = stack.enter_context(Cassandra(folder / "cassandra", free_port(), heap_mb=1024))
            point = Address(node.host, node.port)
        schema = Process(
            "schema",
            [str(PYTHON), "-m", "schema"],
            folder / "schema.log",
            environment=static_settings(point),
            folder=ROOT,
        )
        schema.start()
        if schema.wait_end(READY_SECONDS):
            raise SystemExit(f"the schema step failed:\n{schema.log_end()}")
        yield point


def static_settings(point: Address) -> dict[str, str]:
    """The settings of a process that needs no registry."""
    return {"KILLRVIDEO_DISCOVERY": "static", "KILLRVIDEO_DSE_CONTACT_POINTS": str(point)}


@contextmanager
def run_service(
    slug: str, driver: str, point: Address, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """One of our services with one of the drivers, started and ready; `settings` are further variables of its environment."""
    port = free_port()
    environment = {
        **static_settings(point),
        "KILLRVIDEO_CASSANDRA_DRIVER": driver,
        "KILLRVIDEO_LISTEN_PORT": str(port),
        **(settings or {}),
    }
    process = ServerProcess(slug, [f"services.{slug}"], port, folder / f"{slug}-{driver}.log", environment)
    began = time.monotonic()
    with process:
        process.start_seconds = time.monotonic() - began
        yield process


@contextmanager
def run_floor(slug: str, point: Address, folder: Path) -> Iterator[ServerProcess]:
    """The floor server of one of the services, started and ready."""
    port = free_port()
    arguments = ["benchmarks.floor", slug, str(port), point.host, str(point.port), KEYSPACE]
    with ServerProcess("floor", arguments, port, folder / f"floor-{slug}.log", {}) as process:
        yield process
