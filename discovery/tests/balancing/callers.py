"""Callers of the greeter for the tests of this folder."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from discovery.tests.balancing.servers import GREETER
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterStub
from grpc_discovery.balancing.pool import Pool
from grpc_discovery.discovery import Discovery
from grpc_discovery.registry.memory import MemoryRegistry
from grpc_discovery.settings import Settings

HELLO = HelloRequest(name="you")


class Caller:
    """A caller with a stub on a balanced channel, its pool, and the registry in memory that it looks into."""

    def __init__(self, discovery: Discovery, registry: MemoryRegistry | None = None, interceptors: Any = ()) -> None:
        self.discovery, self.registry = discovery, registry or MemoryRegistry()
        channel: Any = discovery.channel(GREETER, interceptors)
        self.channel = channel
        self.pool: Pool = channel.pool
        self.stub: Any = GreeterStub(self.channel)

    async def until_ready(self, count: int, within: float = 5.0) -> None:
        """Wait until so many instances can be chosen."""
        await eventually(lambda: len(self.pool._ready) == count, within, f"{count} instances can be chosen")

    async def ask(self, times: int, timeout: float = 5.0) -> Counter[str]:
        """Ask so often, side by side, and count who answered."""
        replies = await asyncio.gather(*(self.hello(timeout) for _ in range(times)))
        return Counter(reply.instance for reply in replies)

    async def hello(self, timeout: float = 5.0) -> HelloReply:
        """One call that may be repeated."""
        reply: HelloReply = await self.stub.SayHello(HELLO, timeout=timeout)
        return reply


@asynccontextmanager
async def calling(*addresses: str, interceptors: Any = (), **values: Any) -> AsyncIterator[Caller]:
    """A caller that finds instances at these addresses; `values` are settings by flat names."""
    registry = MemoryRegistry()
    for number, address in enumerate(addresses):
        registry.put(GREETER, f"instance-{number}", address)
    async with Discovery(Settings.from_environment("TEST_", {}, **values), registry=registry) as discovery:
        yield Caller(discovery, registry, interceptors)
