"""A registry that is the name service: each service is a name, such as those that compose or Kubernetes give. Nothing is advertised.

A name with a port is looked up as an address (A, AAAA where there is no A) and each address is an instance; a name without a port is
looked up as SRV, whose records bring the ports. Weights are left aside: callers choose by load.

Addresses are looked up by the machine's own means. dnspython is needed only for SRV records and for a name server of one's own choice.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

from grpc_discovery.addresses import Address, parse_address, parse_named_lists
from grpc_discovery.registry.interface import Instances, Names, RegistryUnavailable
from grpc_discovery.settings import RegistrySettings

_LOOKUP_SECONDS = 2.0


class Dns:
    """A Registry of DNS names. A service may stand in the setting by its full name or by the last part of it."""

    def __init__(self, settings: RegistrySettings) -> None:
        """Raises ModuleNotFoundError where the settings need dnspython and it is not installed."""
        self._names = {settings.name_of(name): value for name, value in parse_named_lists(settings.dns.names).items()}
        self._interval = settings.dns.interval
        self._server = parse_address(settings.dns.server, 53) if settings.dns.server else None
        by_srv = any(":" not in part for value in self._names.values() for part in value.split(","))
        self._lookup: _ByOwnMeans | _ByDnspython
        if self._server or by_srv:
            self._lookup = _ByDnspython(self._server)
        else:
            self._lookup = _ByOwnMeans()

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. Names are given by whatever runs the instances."""

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry."""
        return True

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""

    async def list(self, service: str) -> Instances:
        """See Registry. A name without records is a service without instances; a name server that fails is a registry that is away."""
        value = self._names.get(service) or self._names.get(service.rpartition(".")[2], "")
        found: dict[str, None] = {}
        for name in filter(None, (part.strip() for part in value.split(","))):
            try:
                async with asyncio.timeout(_LOOKUP_SECONDS):
                    found |= dict.fromkeys(await self._looked_up(name))
            except (TimeoutError, OSError, self._lookup.failure) as error:
                raise RegistryUnavailable(f"looking up {name} failed: {error or 'no answer'}") from error
        return {address: address for address in found}

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry. A look-up every few seconds, as the settings say."""
        while True:
            yield await self.list(service)
            await asyncio.sleep(self._interval)

    async def names(self) -> Names:
        """See Registry. All that the settings name, whether they have records now or not."""
        return sorted(self._names)

    async def close(self) -> None:
        """See Registry."""

    async def _looked_up(self, name: str) -> Iterable[str]:
        """The addresses of one name, as `host:port`."""
        if ":" not in name:
            return await self._lookup.services(name)
        host, port = parse_address(name)
        return [str(Address(address, port)) for address in await self._lookup.addresses(host)]


class _ByOwnMeans:
    """Looks up as every other program on this machine does, which also knows /etc/hosts."""

    failure: type[Exception] = OSError

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a name, without port; IPv6 only where there is no IPv4."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
                return []
            raise
        version_4 = sorted({str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET})
        version_6 = sorted({str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET6})
        # An address with a scope (fe80::1%eth0) means something on this machine only.
        return version_4 or [address for address in version_6 if "%" not in address]

    async def services(self, name: str) -> list[str]:
        """Not to be had by these means."""
        raise NotImplementedError(name)


class _ByDnspython(_ByOwnMeans):
    """Also asks for SRV records, and asks the name server of the setting where there is one."""

    def __init__(self, server: Address | None) -> None:
        try:
            import dns.asyncresolver
            import dns.exception
            import dns.rdatatype
            import dns.resolver
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "looking up SRV records, or at a name server of one's own, needs dnspython: pip install grpc-discovery[dns]"
            ) from None
        self._server = server
        self._dns = dns
        self.failure = dns.exception.DNSException

    async def services(self, name: str) -> list[str]:
        """`host:port` of the SRV records of the best priority."""
        records = await self._records(name, "SRV")
        best = min((record.priority for record in records), default=0)
        found: list[str] = []
        for record in records:
            if record.priority == best:
                host = record.target.to_text(omit_final_dot=True)
                found += [str(Address(address, record.port)) for address in await self.addresses(host)]
        return found

    async def addresses(self, host: str) -> list[str]:
        """See _ByOwnMeans."""
        if self._server is None:
            return await super().addresses(host)
        for kind in ("A", "AAAA"):
            if found := sorted(record.address for record in await self._records(host, kind)):
                return found
        return []

    async def _records(self, name: str, kind: str) -> list[Any]:
        # Made for each look-up, because the machine's name servers may change while we run.
        resolver = self._dns.asyncresolver.Resolver(configure=self._server is None)
        if self._server:
            resolver.nameservers, resolver.port = [self._server.host], self._server.port
        resolver.lifetime = _LOOKUP_SECONDS
        try:
            return list(await resolver.resolve(name, kind))
        except (self._dns.resolver.NXDOMAIN, self._dns.resolver.NoAnswer):
            return []
