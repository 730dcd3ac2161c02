"""A registry that is opened in the background. Until it is open it is away, like any other that cannot be reached."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

from grpc_discovery.registry.factory import open_registry
from grpc_discovery.registry.interface import Instances, Names, Registry, RegistryUnavailable
from grpc_discovery.settings import RegistrySettings
from grpc_discovery.tasks import cancel_and_wait

_PAUSE_SECONDS = (2.0, 4.0)

_log = logging.getLogger(__name__)


class OpeningRegistry:
    """A Registry that opens the one of the settings, again and again until it succeeds. To be made in a running loop.

    What is waited for stands in the log. Settings that cannot be used (a CA file without a certificate) do not end it either: the file may
    be put right; they are logged as an error, once a reason.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self.opened: Registry | None = None
        """The registry itself, once it is open."""
        self.problem = "it is being opened"
        """Why it is not open; empty when it is."""
        self._opening = asyncio.create_task(self._open(settings), name="open the registry")

    async def wait_open(self) -> Registry:
        """The registry itself; waits without end until it is open."""
        await asyncio.shield(self._opening)
        return self._get()

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry."""
        await self._get().advertise(service, instance, address, ttl)

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry."""
        return await self._get().renew(service, instance, address, ttl)

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""
        await self._get().withdraw(service, instance, address)

    async def list(self, service: str) -> Instances:
        """See Registry."""
        return await self._get().list(service)

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        async with aclosing(self._get().watch(service)) as lists:  # type: ignore[type-var]  # every watch is a generator
            async for instances in lists:
                yield instances

    async def names(self) -> Names:
        """See Registry."""
        return await self._get().names()

    async def close(self) -> None:
        """See Registry."""
        await cancel_and_wait([self._opening])
        if self.opened:
            await self.opened.close()

    def _get(self) -> Registry:
        if self.opened is None:
            raise RegistryUnavailable(f"the registry is not open yet: {self.problem}")
        return self.opened

    async def _open(self, settings: RegistrySettings) -> None:
        while True:
            try:
                self.opened, self.problem = await open_registry(settings), ""
                return
            except Exception as error:
                # Whatever it is: nobody else would tell of it.
                if str(error) != self.problem:
                    self.problem = str(error)
                    _log.error("the registry cannot be opened: %s", error)
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))
