"""A registry that is a list in a setting. Nothing is advertised: what the list says is so until the process ends."""

import asyncio
from collections.abc import AsyncIterator

from grpc_discovery.addresses import parse_addresses, parse_named_lists
from grpc_discovery.registry.interface import Instances, Names
from grpc_discovery.settings import RegistrySettings

_POLL_SECONDS = 60.0


class Static:
    """A Registry of fixed addresses. A service may stand in the list by its full name or by the last part of it."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._addresses = {
            settings.name_of(name): [str(address) for address in parse_addresses(addresses)]
            for name, addresses in parse_named_lists(settings.static).items()
        }

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. Whoever looks for us has our address already."""

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry."""
        return True

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""

    async def list(self, service: str) -> Instances:
        """See Registry. Each address is its own instance name."""
        addresses = self._addresses.get(service) or self._addresses.get(service.rpartition(".")[2], [])
        return {address: address for address in addresses}

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        while True:
            yield await self.list(service)
            await asyncio.sleep(_POLL_SECONDS)

    async def names(self) -> Names:
        """See Registry. All that the list has."""
        return sorted(self._addresses)

    async def close(self) -> None:
        """See Registry."""
