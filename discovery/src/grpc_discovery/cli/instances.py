"""The instances of names, and what each says of itself or what else is found at its address."""

import asyncio
from types import TracebackType
from typing import NamedTuple, Self

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpc_discovery.addresses import Address, parse_dialable
from grpc_discovery.cli.context import CommandError, Context
from grpc_discovery.discovery import Discovery
from grpc_discovery.registry.factory import open_registry
from grpc_discovery.registry.interface import Registry, RegistryUnavailable

SERVES = ("serving", "tells no health", "no gRPC")
"""Health of what can be used: it says so, or it is a server without health checks, or another program that takes connections."""

_CHECK_SECONDS = 1.0
_CHECKS_AT_ONCE = 128
_AGAIN_SECONDS = 0.2


class Row(NamedTuple):
    """What is shown of one instance; of a name that has none, one row with the health `none`."""

    service: str
    instance: str
    address: str
    health: str
    since: str


class Instances:
    """The entries of the names that a command is about; with `others` also of all other names in the registry."""

    registry: Registry

    def __init__(self, context: Context, *, others: bool = False) -> None:
        self._full_names, self._others = context.names(), others
        self._settings = context.settings
        self._discovery = Discovery(context.settings)
        self._channels: dict[str, aio.Channel] = {}
        self._free = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            await channel.close(None)
        if hasattr(self, "registry"):
            await self.registry.close()

    async def open(self, seconds: float, code: int) -> None:
        """Open the registry and return when it answers. Raises CommandError with `code` when it does not within so many seconds."""
        settings, reason = self._settings.registry, ""
        try:
            async with asyncio.timeout(seconds):
                self.registry = await open_registry(settings)
                while True:
                    try:
                        await self.registry.names()
                        return
                    except RegistryUnavailable as error:
                        reason = f": {error}"
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            at_dns = f"name server {settings.dns.server or 'of this machine'}"
            where = at_dns if settings.kind == "dns" else f"etcd at {settings.etcd.addresses}"
            asked = f"{self._settings.variable('DISCOVERY')}={settings.kind}, {where}"
            raise CommandError(f"the registry gives no answer within {seconds:g} s ({asked}){reason}", code) from None

    async def rows(self) -> list[Row]:
        """A row for each instance, or for a name without any, in the order of the names. Raises RegistryUnavailable."""
        names = dict.fromkeys([*self._full_names, *(await self.registry.names() if self._others else ())])
        lists = await asyncio.gather(*map(self.registry.list, names))
        entries = [(name, *each) for name, found in zip(names, lists, strict=True) for each in sorted(found.items())]
        told = list(await asyncio.gather(*(self._row(*entry) for entry in entries)))
        told += [Row(name, "", "", "none", "") for name, found in zip(names, lists, strict=True) if not found]
        return sorted(told, key=lambda row: list(names).index(row.service))

    async def _row(self, name: str, instance: str, text: str) -> Row:
        try:
            address = parse_dialable(text)
        except ValueError:
            # Never dialled: to gRPC `unix:/any.sock` would be an address too.
            return Row(name, instance, text, "no address", "")
        async with self._free:
            return Row(name, instance, text, *await self._health(self._full_names.get(name, name), address))

    async def _health(self, service: str, address: Address) -> tuple[str, str]:
        """What the instance says of the service, and since when."""
        key = str(address)
        if key not in self._channels:
            self._channels[key] = self._discovery.open_channel(key)
        request = health_pb2.HealthCheckRequest(service=service)
        call = health_pb2_grpc.HealthStub(self._channels[key]).Check(request, timeout=_CHECK_SECONDS)
        try:
            status = (await call).status
            since = str(dict(await call.trailing_metadata() or ()).get("serving-since", ""))[:40]
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND and service:
                # It does not know this name, but tells of itself as a whole.
                return await self._health("", address)
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return "tells no health", ""
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return "no answer", ""
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return await _found_at(address), ""
            return f"no answer ({error.code().name.lower().replace('_', ' ')})", ""
        return health_pb2.HealthCheckResponse.ServingStatus.Name(status).lower().replace("_", " "), since


async def _found_at(address: Address) -> str:
    """`no gRPC` where something takes connections, else `unreachable`."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            _, writer = await asyncio.open_connection(*address)
            writer.close()
    except OSError:
        return "unreachable"
    return "no gRPC"
