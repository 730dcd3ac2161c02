"""A registry in memory, for unit tests of programs that advertise or call: it behaves as etcd does, and can be told to be away."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress

from grpc_discovery.addresses import check_instance_name, check_service_name
from grpc_discovery.registry.interface import Instances, Names, RegistryUnavailable

_POLL_SECONDS = 5.0


class MemoryRegistry:
    """A Registry that lives in this object. Pass the same one to all who shall find each other; they may run in loops of several threads.

    available  False: every call and every watch raises RegistryUnavailable, until it is True again. Entries go on expiring meanwhile.
    entries    What it holds now: {service: {instance: address}}, a copy.
    put(...), remove(...)   Change an entry from a test, without waiting; what is put lives until it is removed, unless a TTL is given.

    A TTL is counted by the clock of the running loop. Nothing needs to be opened, and close() leaves the entries in place.
    """

    def __init__(self) -> None:
        self._available = True
        self._lock = threading.Lock()
        self._held: dict[str, dict[str, tuple[str, float]]] = {}
        self._watchers: dict[asyncio.Event, tuple[str, asyncio.AbstractEventLoop]] = {}

    @property
    def available(self) -> bool:
        """Whether it answers."""
        return self._available

    @available.setter
    def available(self, available: bool) -> None:
        self._available = available
        self._wake(None)

    @property
    def entries(self) -> dict[str, Instances]:
        """What it holds now."""
        return {service: live for service in list(self._held) if (live := self._live(service))}

    def put(self, service: str, instance: str, address: str, ttl: float = math.inf) -> None:
        """Put an entry, to live `ttl` seconds. Raises ValueError for a name that cannot be one."""
        check_service_name(service)
        check_instance_name(instance)
        with self._lock:
            self._held.setdefault(service, {})[instance] = (address, _now() + ttl)
        self._wake(service)

    def remove(self, service: str, instance: str) -> None:
        """Remove an entry, if it is there."""
        with self._lock:
            self._held.get(service, {}).pop(instance, None)
        self._wake(service)

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        self._check_available()
        self.put(service, instance, address, ttl)

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        if (await self.list(service)).get(instance) != address:
            return False
        with self._lock:
            self._held[service][instance] = (address, _now() + ttl)
        return True

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        if (await self.list(service)).get(instance) == address:
            self.remove(service, instance)

    async def list(self, service: str) -> Instances:
        self._check_available()
        return self._live(service)

    async def watch(self, service: str) -> AsyncGenerator[Instances]:
        changed = asyncio.Event()
        self._watchers[changed] = (service, asyncio.get_running_loop())
        try:
            while True:
                changed.clear()
                yield await self.list(service)
                with self._lock:
                    lives = [expires - _now() for _, expires in self._held.get(service, {}).values()]
                # Until an entry expires, or it is time for a list without a change.
                with suppress(TimeoutError):
                    async with asyncio.timeout(min([_POLL_SECONDS, *(left for left in lives if left > 0)])):
                        await changed.wait()
        finally:
            del self._watchers[changed]

    async def names(self) -> Names:
        self._check_available()
        return sorted(self.entries)

    async def close(self) -> None:
        pass  # the entries stay, as they do in etcd

    def _check_available(self) -> None:
        if not self._available:
            raise RegistryUnavailable("the registry in memory is away")

    def _live(self, service: str) -> Instances:
        with self._lock:
            held = self._held.get(service, {})
            return {instance: address for instance, (address, expires) in held.items() if expires > _now()}

    def _wake(self, service: str | None) -> None:
        """Wake who watches the service, None: everybody."""
        for changed, (watched, loop) in list(self._watchers.items()):
            if service in (None, watched) and not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
