"""The instances of names, and what each says of itself or what else is found at its address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from grpc import StatusCode, aio
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
_TOLD = {StatusCode.UNIMPLEMENTED: "tells no health", StatusCode.DEADLINE_EXCEEDED: "no answer"}


class Row(NamedTuple):
    """What is shown of one instance; of a name that has none, one row with the health `none`."""

    service: str
    instance: str
    address: str
    health: str
    since: str


@asynccontextmanager
async def open_instances(
    context: Context, seconds: float, code: int, *, others: bool = False
) -> AsyncIterator["Instances"]:
    """Open the registry and wait until it answers. Raises CommandError with `code` when it does not within so many seconds."""
    settings, reason = context.settings.registry, ""
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(seconds):
                registry = await open_registry(settings)
                stack.push_async_callback(registry.close)
                instances = Instances(context, registry, stack, others=others)
                while reason := await _problem(registry):  # noqa: ASYNC110  another process is asked
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            at_dns = f"name server {settings.dns.server or 'of this machine'}"
            where = at_dns if settings.kind == "dns" else f"etcd at {settings.etcd.addresses}"
            asked = f"{context.settings.variable('DISCOVERY')}={settings.kind}, {where}"
            raise CommandError(f"the registry gives no answer within {seconds:g} s ({asked}){reason}", code) from None
        yield instances


async def _problem(registry: Registry) -> str:
    """Why the registry does not answer; '' if it does."""
    try:
        await registry.names()
    except RegistryUnavailable as error:
        return f": {error}"
    return ""


class Instances:
    """The entries of the names that a command is about; with `others` also of all other names in the registry."""

    def __init__(self, context: Context, registry: Registry, stack: AsyncExitStack, *, others: bool) -> None:
        """Channels that are opened are closed with `stack`."""
        self.registry = registry
        self._full_names, self._others, self._stack = context.names(), others, stack
        self._discovery = Discovery(context.settings)
        self._channels: dict[str, aio.Channel] = {}
        self._free = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def rows(self) -> list[Row]:
        """A row for each instance, or for a name without any, in the order of the names. Raises RegistryUnavailable."""
        names = dict.fromkeys([*self._full_names, *(await self.registry.names() if self._others else ())])
        lists = await asyncio.gather(*map(self.registry.list, names))
        rows = await asyncio.gather(*(self._rows_of(name, found) for name, found in zip(names, lists, strict=True)))
        return [row for of_name in rows for row in of_name]

    async def _rows_of(self, name: str, found: dict[str, str]) -> list[Row]:
        rows = await asyncio.gather(*(self._row(name, *entry) for entry in sorted(found.items())))
        return list(rows) or [Row(name, "", "", "none", "")]

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
            self._stack.push_async_callback(self._channels[key].close, None)
        request = health_pb2.HealthCheckRequest(service=service)
        call = health_pb2_grpc.HealthStub(self._channels[key]).Check(request, timeout=_CHECK_SECONDS)
        try:
            status = (await call).status
            since = str(dict(await call.trailing_metadata() or ()).get("serving-since", ""))[:40]
        except aio.AioRpcError as error:
            code = error.code()
            if code is StatusCode.NOT_FOUND and service:
                # It does not know this name, but tells of itself as a whole.
                return await self._health("", address)
            if code is StatusCode.UNAVAILABLE:
                return await _found_at(address), ""
            return _TOLD.get(code, f"no answer ({code.name.lower().replace('_', ' ')})"), ""
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
