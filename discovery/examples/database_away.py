"""A service whose database goes away and comes back: its health and its entry in the registry follow.

    python database_away.py

Everything happens in this process: the database is a flag, the registry is in memory, and no etcd is needed. Note the two things a
dependency says of itself: `ready` (waited for before the start) and `alive` (asked twice a second from then on).
"""

import asyncio
import logging
import socket

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from grpc_discovery import Application, MemoryRegistry, Settings

GREETER = "acme.greeter.v1.Greeter"


class Database:
    """Stands for a database: what a service waits for is anything with these three."""

    name = "the database"

    def __init__(self) -> None:
        self.is_up = asyncio.Event()

    async def ready(self) -> None:
        """Return when it can be used. Waits without end."""
        await self.is_up.wait()

    async def alive(self) -> bool:
        """Whether it can be used now."""
        return self.is_up.is_set()


class Greeter(GreeterServicer):
    async def SayHello(self, request: HelloRequest, context: object) -> HelloReply:
        return HelloReply(text=f"Hello, {request.name}!")


async def main() -> None:
    port, database, registry, stop = free_port(), Database(), MemoryRegistry(), asyncio.Event()
    settings = Settings.from_environment("GREETER_", listen_port=port, withdraw_wait=0)
    app = Application("greeter", settings, registry=registry)
    app.add(Greeter(), add_GreeterServicer_to_server, GREETER, waits_for=[database])

    async def show(situation: str, entries: int) -> None:
        """Wait until the registry has so many entries, and print it with the health of the process."""
        while len(registry.entries.get(GREETER, {})) != entries:
            await asyncio.sleep(0.05)
        print(f"{situation}: health is {await health(port)}, {entries} in the registry")

    async with asyncio.TaskGroup() as life:
        life.create_task(app.serve(stop))  # what app.run() does, without signals and logging
        await show("the database is not up yet", 0)
        database.is_up.set()
        await show("the database is up", 1)
        database.is_up.clear()
        await show("the database is away", 0)
        database.is_up.set()
        await show("the database is back", 1)
        stop.set()
    await show("stopped", 0)


async def health(port: int) -> str:
    """What the process says of itself by gRPC's health protocol."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=GREETER))
        except grpc.aio.AioRpcError:
            return "not to be had"
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="    log: %(message)s")
    asyncio.run(main())
