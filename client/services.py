"""The services as typed stubs, each found through the registry when it is first used."""

from types import TracebackType
from typing import Self

from grpc import aio

from client.stubs import STUBS, AsyncStubs
from common.catalogue import SERVICES
from common.settings import Settings
from grpc_discovery import Discovery
from grpc_discovery.balancing.pool import Pool


class Services(AsyncStubs):
    """Callers of the services. Use it as a context: `async with Services.from_settings() as services:`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._discovery = Discovery(settings)
        super().__init__(STUBS, self._discovery.channel)

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Self:
        """With the settings of the environment, or those given."""
        return cls(settings or Settings.load())

    async def __aenter__(self) -> Self:
        """Begin to look for the registry; nothing is waited for."""
        await self._discovery.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all channels and the registry."""
        await self._discovery.__aexit__(kind, error, trace)

    def pool(self, service: str) -> Pool:
        """The instances of a service as they are known now."""
        return self._discovery.pool(SERVICES[service].full_name)

    def instances(self, service: str) -> dict[str, str]:
        """The instances of a service that calls go to now: name -> address."""
        return self._discovery.instances(SERVICES[service].full_name)

    async def listed(self, service: str) -> dict[str, str]:
        """The same list, once the registry has answered for the first time."""
        return await self._discovery.listed(SERVICES[service].full_name)

    def open_channel(self, address: str) -> aio.Channel:
        """A channel to one instance, with the settings of a caller."""
        return self._discovery.open_channel(address)
