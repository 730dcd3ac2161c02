"""A registry that is a list in a setting. Nothing is advertised: what the list says is so until the process ends."""

import asyncio
from collections.abc import AsyncIterator

from common.registry.interface import Instances
from common.registry.names import PORTS
from common.settings import Settings, host_ports, named_lists

_POLL_SECONDS = 60.0


class Static:
    """A Registry of fixed addresses; a service that the list leaves out is at its own port on this machine, or on KILLRVIDEO_SERVICE_HOST."""

    def __init__(self, settings: Settings) -> None:
        self._host = settings.service_host or "127.0.0.1"
        self._addresses = named_lists(settings.static_services)

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. Whoever looks for us has our address already."""

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry."""
        return True

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""

    async def list(self, service: str) -> Instances:
        """See Registry. Each address is its own instance name."""
        if service in self._addresses:
            addresses = [f"{host}:{port}" for host, port in host_ports(self._addresses[service], PORTS.get(service, 0))]
        else:
            addresses = [f"{self._host}:{PORTS[service]}"] if service in PORTS else []
        return {address: address for address in addresses}

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        while True:
            yield await self.list(service)
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """See Registry."""
