"""Services that are fuzzed: all in this process, on a real Cassandra, where holds of the loop and reads can be counted; or in processes."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from common.catalogue import SERVICES
from common.database import wait_for_database
from common.settings import Settings
from grpc_discovery import open_registry
from grpc_discovery.serving.server import new_server
from tests.fuzz.calls import Answer, Caller, Sent
from tests.fuzz.data import Known, fill
from tests.fuzz.holds import Holds, measured_holds


class Reads:
    """A database that counts what is read from it."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.statements = self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def select(self, statement: Any, *values: Any) -> Any:
        """All rows of one statement, counted."""
        rows = await self._database.select(statement, *values)
        self.statements += 1
        self.rows += len(rows)
        return rows

    async def select_one(self, statement: Any, *values: Any) -> Any:
        """The first row, counted."""
        self.statements += 1
        self.rows += 1
        return await self._database.select_one(statement, *values)

    def reset(self) -> None:
        """Forget what was counted."""
        self.statements = self.rows = 0


class World:
    """Services with a few data, and calls to them from code that does not wait."""

    def __init__(self, runner: asyncio.Runner, caller: Caller, known: Known) -> None:
        self._runner, self._caller = runner, caller
        self.known = known
        self.sent = 0
        self.slowest: tuple[float, str] = (0.0, "")
        self.statuses: dict[str, int] = {}
        self.holds: Holds | None = None
        self.reads: Reads | None = None

    def send_all(self, batch: Sequence[Sent]) -> list[Answer]:
        """Make several calls side by side."""
        answers = self._runner.run(self._caller.send_all(batch))
        for sent, answer in zip(batch, answers, strict=True):
            self.sent += 1
            self.statuses[answer.status.name] = self.statuses.get(answer.status.name, 0) + 1
            self.slowest = max(self.slowest, (answer.seconds, sent.call))
        return answers


@contextmanager
def in_processes(addresses: Mapping[str, str]) -> Iterator[World]:
    """Services that run already, at these addresses by their names."""
    with asyncio.Runner() as runner:
        caller = runner.run(_caller(addresses))
        try:
            yield World(runner, caller, runner.run(fill(caller)))
        finally:
            runner.run(caller.close())


async def _caller(addresses: Mapping[str, str]) -> Caller:
    return Caller(addresses)


@contextmanager
def in_this_process(settings: Settings) -> Iterator[World]:
    """All services behind one server of this process, with steps of the loop measured and reads counted."""
    with asyncio.Runner() as runner:
        parts = runner.run(_open(settings))
        registry, reads, server, caller = parts
        try:
            world = World(runner, caller, runner.run(fill(caller)))
            # The steps that only a first call takes (imports, first statistics) are behind us.
            with measured_holds() as holds:
                world.holds, world.reads = holds, reads
                yield world
        finally:
            runner.run(_close(registry, reads, server, caller))


async def _open(settings: Settings) -> tuple[Any, Reads, Any, Caller]:
    services = [import_module(f"{known.module}.service").SERVICE for known in SERVICES.values()]
    registry = await open_registry(settings.registry)
    statements = [statement for service in services for statement in service.statements]
    reads = Reads(await wait_for_database(settings.cassandra, registry, statements))
    server, _ = new_server(settings, "killrvideo")
    for service in services:
        register = getattr(import_module(service.known.grpc_module), service.known.register)
        register(service.build(reads, settings), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return registry, reads, server, Caller(dict.fromkeys(SERVICES, address))


async def _close(registry: Any, reads: Reads, server: Any, caller: Caller) -> None:
    await caller.close()
    await server.stop(5)
    await reads.close()
    await registry.close()


def resident_mib(pid: int) -> float:
    """The most memory in MiB that a process has held resident since its start."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        [line] = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
