"""A watch in the background, whose lists a test can look at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from grpc_discovery.registry import Registry, RegistryUnavailable
from grpc_discovery.tasks import cancel_and_wait


class Watching:
    """The lists that a watch brings, as they come."""

    def __init__(self) -> None:
        self.lists: list[dict[str, str]] = []
        self.lost = 0

    def has(self, instance: str) -> bool:
        return bool(self.lists) and instance in self.lists[-1]

    def now(self, instances: dict[str, str]) -> bool:
        return bool(self.lists) and self.lists[-1] == instances


@asynccontextmanager
async def watching(registry: Registry, service: str) -> AsyncIterator[Watching]:
    """A watch that is begun again whenever it loses contact, as a caller would."""
    seen = Watching()

    async def follow() -> None:
        while True:
            try:
                async with aclosing(registry.watch(service)) as lists:
                    async for instances in lists:
                        seen.lists.append(instances)
            except RegistryUnavailable:
                seen.lost += 1
                await asyncio.sleep(0.2)

    task = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        await cancel_and_wait([task])
