"""What the trials are done to: an etcd, a Cassandra, instances of the comments service, and a caller; and the form of a result."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client import Services
from common.settings import Settings
from grpc_discovery.balancing.endpoint import Health
from infra.cassandra import Cassandra
from infra.etcd import Etcd
from infra.ports import free_port
from tests.processes import ServiceProcess, advertised, run_module, serving

SERVICE = "CommentsService"
RATE = 50.0
"""Calls a second under which most faults are done."""
# What a busy machine may add to a bound in seconds: the pause between two checks, and a process that gets no processor at once.
SLACK_SECONDS = 0.5


@dataclass
class Measurement:
    """One result of a trial: a figure in seconds or a count, its upper bound (`inf`: nothing is promised), and what else must be true."""

    promise: str
    fault: str
    bound: float
    measured: float
    unit: str = "s"
    note: str = ""
    holds: bool = True

    @property
    def held(self) -> bool:
        """Whether the promise was kept."""
        return self.holds and self.measured <= self.bound

    def row(self) -> str:
        """A row of the table in docs/advertising.md."""
        promised = math.isfinite(self.bound)
        bound = f"{self.bound:.3g} {self.unit}" if promised else "none"
        verdict = ("held" if self.held else "NOT HELD") if promised else "measured only"
        note = f" ({self.note})" if self.note else ""
        return f"| {self.promise} | {self.fault}{note} | {bound} | {self.measured:.3g} {self.unit} | {verdict} |"


class World:
    """The processes of a trial. After each trial everything runs again, and only what runs is advertised."""

    def __init__(self, folder: Path, etcd: Etcd, cassandra: Cassandra, ttl: float) -> None:
        self.folder, self.etcd, self.cassandra, self.ttl = folder, etcd, cassandra, ttl
        self.environment = {
            "KILLRVIDEO_ETCD": etcd.address,
            "KILLRVIDEO_DSE_CONTACT_POINTS": cassandra.address,
            "KILLRVIDEO_TTL": f"{ttl:g}",
        }

    @asynccontextmanager
    async def instances(self, count: int, **more: str) -> AsyncIterator[list[ServiceProcess]]:
        """`count` instances of the comments service that serve and are advertised; they are stopped at the end."""
        started = [self.instance(None, **more) for _ in range(count)]
        try:
            for process in started:
                process.start()
            for process in started:
                await self.until(process.is_ready, 90, f"{process.name} serves")
            yield started
        finally:
            for process in started:
                process.terminate()
            for process in started:
                await asyncio.to_thread(process.stop)

    def instance(self, port: int | None = None, **more: str) -> ServiceProcess:
        """One instance, not started."""
        return ServiceProcess("comments", self.folder, {**self.environment, **more}, port=port)

    def advertised(self) -> dict[str, str]:
        """What etcd holds, read without our own code."""
        return advertised(self.etcd.address, SERVICE)

    def settings(self, **more: Any) -> Settings:
        """The settings of a caller."""
        return Settings.load(**{"etcd": self.etcd.address, "ttl": self.ttl, **more})

    @asynccontextmanager
    async def caller(self, **more: Any) -> AsyncIterator[Services]:
        """A caller that knows the instances."""
        async with Services.from_settings(self.settings(**more)) as services:
            await services.listed(SERVICE)
            pool = services.pool(SERVICE)
            await self.until(
                lambda: (
                    bool(pool.endpoints)
                    and all(endpoint.health is Health.SERVING for endpoint in pool.endpoints.values())
                ),
                20,
                "the caller sees all instances",
            )
            yield services

    async def until(
        self, condition: Callable[[], bool] | Callable[[], Awaitable[bool]], timeout: float, what: str
    ) -> float:
        """Wait until `condition` holds and return the seconds it took. Fails after `timeout` seconds and says what was awaited."""
        began = time.monotonic()
        while True:
            holds = await asyncio.to_thread(condition)
            if (await holds) if isinstance(holds, Awaitable) else holds:
                return time.monotonic() - began
            if time.monotonic() - began > timeout:
                raise AssertionError(f"not within {timeout:.0f} s: {what}")
            await asyncio.sleep(0.02)

    def serves(self, process: ServiceProcess) -> bool:
        """Whether an instance says that it serves."""
        return serving(process.address)


@asynccontextmanager
async def world(folder: Path, ttl: float, cassandra: Cassandra | None = None) -> AsyncIterator[World]:
    """A world of its own: etcd with both interfaces, and the given Cassandra or one of its own, with the schema."""
    async with AsyncExitStack() as stack:
        etcd = Etcd(folder / "etcd", free_port())
        own = [] if cassandra else [Cassandra(folder / "cassandra", free_port(), heap_mb=512)]
        for process in (etcd, *own):
            process.start()
            stack.callback(process.stop)
        for process in (etcd, *own):
            await asyncio.to_thread(process.wait_ready, 600)
        new = World(folder, etcd, cassandra or own[0], ttl)
        await asyncio.to_thread(run_module, "schema", environment=new.environment, folder=folder)
        yield new
