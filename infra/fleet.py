"""Who serves where: what the registry holds, and what each instance says of its own health."""

import asyncio
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from common import catalogue
from grpc_discovery import Registry, RegistryUnavailable, open_registry
from infra.errors import InfraError
from infra.settings import InfraSettings

SERVICES = {known.slug: name for name, known in catalogue.SERVICES.items()}
"""Short name -> name in the registry."""


class InstanceHealth(StrEnum):
    """What an instance says of itself."""

    SERVING = "serving"
    NOT_SERVING = "not serving"
    NO_ANSWER = "no answer"


_ASK_SECONDS = 2.0
_WIDE = 106
"""A terminal with so many columns shows whole keys."""


@dataclass(frozen=True, order=True)
class Seen:
    """One instance of a service, as it was at one look. `key` is its key in the registry, '' when it is not advertised."""

    slug: str
    address: str
    key: str
    health: InstanceHealth

    @property
    def in_order(self) -> bool:
        """Whether callers find it and it serves."""
        return bool(self.key) and self.health is InstanceHealth.SERVING


class Fleet:
    """Looks at all instances, again and again."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._channels: dict[str, aio.Channel] = {}
        self._known: dict[str, set[str]] = {slug: set() for slug in SERVICES}

    @classmethod
    async def open(cls, settings: InfraSettings) -> Self:
        """A fleet as the registry of `settings` knows it; raises InfraError when that does not answer."""
        try:
            async with asyncio.timeout(10):
                return cls(await open_registry(settings.registry))
        except (RegistryUnavailable, TimeoutError) as error:
            raise InfraError(f"etcd at {settings.registry.etcd.addresses} does not answer") from error

    async def __aenter__(self) -> Self:
        """Nothing more is opened."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await asyncio.gather(*(channel.close(None) for channel in self._channels.values()))
        await self._registry.close()

    async def look(self) -> list[Seen]:
        """All instances that are advertised, and those seen before that still answer; of several keys for one address, one."""
        return sorted(seen for group in await asyncio.gather(*map(self._look_at, SERVICES)) for seen in group)

    async def _look_at(self, slug: str) -> list[Seen]:
        service = SERVICES[slug]
        try:
            instances = await self._registry.list(service)
        except RegistryUnavailable:
            instances = {}
        keys = {address: catalogue.registry_key(service, name) for name, address in instances.items()}
        self._known[slug] |= keys.keys()
        addresses = sorted(self._known[slug])
        healths = await asyncio.gather(*map(self._health, addresses))
        found = [
            Seen(slug, address, keys.get(address, ""), health)
            for address, health in zip(addresses, healths, strict=True)
        ]
        gone = {seen.address for seen in found if not seen.key and seen.health is InstanceHealth.NO_ANSWER}
        self._known[slug] -= gone
        return [seen for seen in found if seen.address not in gone]

    async def _health(self, address: str) -> InstanceHealth:
        channel = self._channels.get(address)
        if channel is None:
            # Its own connection, tried again soon: an instance comes back on its port within seconds.
            options = [
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 500),
            ]
            channel = self._channels[address] = aio.insecure_channel(address, options)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=_ASK_SECONDS
            )
        except grpc.RpcError:
            return InstanceHealth.NO_ANSWER
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return InstanceHealth.SERVING if serving else InstanceHealth.NOT_SERVING


def missing(seen: list[Seen]) -> list[str]:
    """The services that have no instance in order."""
    return [slug for slug in SERVICES if not any(one.slug == slug and one.in_order for one in seen)]


def table(seen: list[Seen]) -> str:
    """One line an instance, and one for each service that has none."""
    rows = [("service", "address", "key in etcd", "health")]
    for slug in SERVICES:
        here = [one for one in seen if one.slug == slug]
        rows += [(slug, one.address, one.key or "-", one.health) for one in here] or [(slug, "-", "-", "no instance")]
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE:
        rows[0] = ("service", "address", f"key below {catalogue.REGISTRY_ROOT}/", "health")
        rows[1:] = [
            (slug, address, key.removeprefix(f"{catalogue.REGISTRY_ROOT}/"), health)
            for slug, address, key, health in rows[1:]
        ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def changes(before: list[Seen], after: list[Seen]) -> list[str]:
    """One line for each thing that happened between two looks."""
    old = {(one.slug, one.address): one for one in before}
    new = {(one.slug, one.address): one for one in after}
    lines = []
    for slug, address in sorted(old.keys() | new.keys()):
        was, now = old.get((slug, address)), new.get((slug, address))
        name = f"{slug} {address}"
        if was is None and now is not None:
            lines.append(f"{name} came: {now.health}, {f'advertised as {now.key}' if now.key else 'not advertised'}")
        elif now is None:
            lines.append(f"{name} went")
        elif was is not None and was != now:
            parts = [f"health {was.health} -> {now.health}"] if was.health != now.health else []
            if was.key != now.key:
                parts.append(f"advertised as {now.key}" if now.key else "no longer advertised")
            lines.append(f"{name}: {', '.join(parts)}")
    return lines
