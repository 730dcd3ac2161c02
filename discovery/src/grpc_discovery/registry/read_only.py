"""Registries in which nothing is advertised: a list in a setting, and DNS names, such as those that compose or Kubernetes give.

A DNS name with a port is looked up as an address (A, AAAA where there is no A); a name without one as SRV, whose records bring the ports.
Weights are left aside: callers choose by load. dnspython is needed only for SRV records and for a name server of one's own choice.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from grpc_discovery.addresses import Address, parse_address, parse_addresses, parse_named_lists
from grpc_discovery.registry.interface import Instances, Names, Registry, RegistryUnavailable
from grpc_discovery.settings import RegistrySettings

_STATIC_SECONDS = 60.0
_LOOKUP_SECONDS = 2.0


class ReadOnly(Registry):
    """What a setting names. A service may stand in it by its full name or by the last part of it; each address is its own instance name."""

    def __init__(self, settings: RegistrySettings, named_lists: str, interval: float) -> None:
        """`interval`: seconds between two lists of a watch."""
        self._lists = {settings.name_of(name): value for name, value in parse_named_lists(named_lists).items()}
        self._interval = interval

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        pass

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        return True

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        pass

    async def list(self, service: str) -> Instances:
        named = self._lists.get(service) or self._lists.get(service.rpartition(".")[2])
        return {address: address for address in await self._addresses_of(named)} if named else {}

    async def watch(self, service: str) -> AsyncGenerator[Instances]:
        while True:
            yield await self.list(service)
            await asyncio.sleep(self._interval)

    async def names(self) -> Names:
        return sorted(self._lists)

    async def close(self) -> None:
        pass

    async def _addresses_of(self, named: str) -> Iterable[str]:
        raise NotImplementedError


class Static(ReadOnly):
    """What the list says is so until the process ends."""

    def __init__(self, settings: RegistrySettings) -> None:
        super().__init__(settings, settings.static, _STATIC_SECONDS)

    async def _addresses_of(self, named: str) -> Iterable[str]:
        return map(str, parse_addresses(named))


class Dns(ReadOnly):
    """A name without records is a service without instances; a name server that fails is a registry that is away."""

    def __init__(self, settings: RegistrySettings) -> None:
        """Raises ModuleNotFoundError where the settings need dnspython and it is not installed."""
        super().__init__(settings, settings.dns.names, settings.dns.interval)
        self._server = parse_address(settings.dns.server, 53) if settings.dns.server else None
        self._failures: tuple[type[Exception], ...] = (OSError,)
        self._dns: Any = None
        if self._server or any(":" not in name for names in self._lists.values() for name in names.split(",")):
            try:
                import dns.asyncresolver
                import dns.resolver
            except ModuleNotFoundError:
                raise ModuleNotFoundError(
                    "looking up SRV records, or at a name server of one's own, needs dnspython: pip install grpc-discovery[dns]"
                ) from None
            self._dns, self._failures = dns, (OSError, dns.exception.DNSException)

    async def _addresses_of(self, named: str) -> Iterable[str]:
        found: dict[str, None] = {}
        for name in map(str.strip, named.split(",")):
            try:
                async with asyncio.timeout(_LOOKUP_SECONDS):
                    for target in [parse_address(name)] if ":" in name else await self._services(name):
                        addresses = await self._hosts(target.host)
                        found |= {str(Address(address, target.port)): None for address in addresses}
            except self._failures as error:
                raise RegistryUnavailable(f"looking up {name} failed: {str(error) or 'no answer'}") from error
        return found

    async def _services(self, name: str) -> Iterable[Address]:
        """The hosts and ports of the SRV records of the best priority."""
        records = await self._records(name, "SRV")
        best = min((record.priority for record in records), default=0)
        return [
            Address(each.target.to_text(omit_final_dot=True), each.port) for each in records if each.priority == best
        ]

    async def _hosts(self, host: str) -> Iterable[str]:
        """The addresses of a name, without port; IPv6 only where there is no IPv4."""
        if self._server:
            for kind in ("A", "AAAA"):
                if found := sorted(record.address for record in await self._records(host, kind)):
                    return found
            return []
        # As every other program on this machine does, which also knows /etc/hosts.
        try:
            entries = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
                return []
            raise
        version_4, version_6 = [
            sorted({str(entry[4][0]) for entry in entries if entry[0] == family})
            for family in (socket.AF_INET, socket.AF_INET6)
        ]
        # An address with a scope (fe80::1%eth0) means something on this machine only.
        return version_4 or [address for address in version_6 if "%" not in address]

    async def _records(self, name: str, kind: str) -> Any:
        # Made for each look-up, because the machine's name servers may change while we run.
        resolver = self._dns.asyncresolver.Resolver(configure=self._server is None)
        if self._server:
            resolver.nameservers, resolver.port = [self._server.host], self._server.port
        resolver.lifetime = _LOOKUP_SECONDS
        try:
            return await resolver.resolve(name, kind)
        except (self._dns.resolver.NXDOMAIN, self._dns.resolver.NoAnswer):
            return []
