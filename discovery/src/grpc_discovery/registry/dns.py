"""A registry that is the name service: each service is a name, such as those that compose or Kubernetes give. Nothing is advertised.

A name with a port is looked up as an address (A, AAAA where there is no A) and each address is an instance; a name without a port is
looked up as SRV, whose records bring the ports. Weights are left aside: callers choose by load.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from common.registry.interface import Instances, RegistryUnavailable
from common.registry.names import SERVICES
from common.settings import Settings, host_ports, named_lists

_LOOKUP_SECONDS = 2.0


class Dns:
    """A Registry of DNS names."""

    def __init__(self, settings: Settings) -> None:
        self._names = {
            name: f"{known.slug.replace('_', '-')}:{known.port}" for name, known in SERVICES.items()
        } | named_lists(settings.dns_names)
        self._interval = settings.dns_interval
        self._lookup = _Lookup(host_ports(settings.dns_server, 53)[0] if settings.dns_server else None)

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. Names are given by whatever runs the instances."""

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry."""
        return True

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""

    async def list(self, service: str) -> Instances:
        """See Registry. A name that does not exist is a service without instances; a name server that fails is a registry that is away."""
        name = self._names.get(service)
        if name is None:
            return {}
        host, colon, port = name.rpartition(":")
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                found = (
                    [f"{address}:{port}" for address in await self._lookup.addresses(host)]
                    if colon
                    else await self._lookup.records(name)
                )
        except (dns.exception.DNSException, TimeoutError, OSError) as error:
            raise RegistryUnavailable(f"looking up {name} failed: {error or 'no answer'}") from error
        return {address: address for address in found}

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        while True:
            yield await self.list(service)
            await asyncio.sleep(self._interval)

    async def close(self) -> None:
        """See Registry."""


class _Lookup:
    """Asks for addresses and SRV records: the name server of the setting, or the machine's own means."""

    def __init__(self, server: tuple[str, int] | None) -> None:
        self._server = server

    async def records(self, name: str) -> list[str]:
        """host:port of the SRV records of the best priority."""
        try:
            answer = await self._resolver().resolve(name, dns.rdatatype.SRV)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        best = min(record.priority for record in answer)
        found = []
        for record in answer:
            if record.priority == best:
                found += [
                    f"{address}:{record.port}"
                    for address in await self.addresses(record.target.to_text(omit_final_dot=True))
                ]
        return found

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a name: by the machine's own means, which also know /etc/hosts, or by the name server of the setting."""
        if self._server is None:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except socket.gaierror as error:
                if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
                    return []
                raise
            version_4 = sorted({str(entry[4][0]) for entry in found if entry[0] == socket.AF_INET})
            return version_4 or sorted({f"[{entry[4][0]}]" for entry in found if entry[0] == socket.AF_INET6})
        try:
            return sorted(record.address for record in await self._resolver().resolve(host, dns.rdatatype.A))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Made anew for each look-up, because the machine's name servers may change while we run."""
        resolver = dns.asyncresolver.Resolver(configure=self._server is None)
        if self._server:
            resolver.nameservers, resolver.port = [self._server[0]], self._server[1]
        resolver.lifetime = _LOOKUP_SECONDS
        return resolver
