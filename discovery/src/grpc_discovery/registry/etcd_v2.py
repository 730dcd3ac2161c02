"""etcd's v2 keys, which many existing clients read: <root>/<service>/<instance> = host:port.

Existing clients fail on an empty directory. etcd refuses to change the TTL of a directory that exists, so the directory of a service whose
last instance died without a word has to be removed by somebody: by any living process of ours that renews an entry, or by what the dead one
left behind (sweeper.py).

With a user etcd hashes the password at every request: some 66 ms of its CPU, so that two cores answer 30 requests a second. Asked are then,
for I entries and C callers at a TTL of T seconds,

    3.2 * I / T    renewals, one every third of T
    I / 60         looks for empty directories, one a minute for each entry's process
    C / 15         readings and long polls of callers: one of each every 30 s, for all services together
    C * 2 / 1.5    at most, while entries change: a reading and a long poll every 1.5 s

requests a second. 20 entries and 10 callers at T = 10: 7.4 when nothing changes, up to 20 while something does. What stays below 15 when
nothing changes is carried well: I = 40 and C = 20 need T = 10, I = 100 and C = 50 need T = 30. More users than that want v3, which hashes
once for a process.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import etcd

from grpc_discovery.registry.etcd_v2_client import Members, quoted
from grpc_discovery.registry.etcd_v2_sweeper import SweeperProcess
from grpc_discovery.registry.etcd_v2_tree import Tree, entries_of, read
from grpc_discovery.registry.interface import Instances, Names, RegistryUnavailable
from grpc_discovery.registry.paths import Settling, directory_of, is_service_name, path_of
from grpc_discovery.settings import RegistrySettings

_REQUEST_SECONDS = 2.0
_POLL_SECONDS = 5.0
# With a user each request costs etcd so much that it answers late while many ask, and that it should be asked little.
_REQUEST_WITH_USER_SECONDS = 8.0
_POLL_WITH_USER_SECONDS = 30.0
_SWEEP_WITH_USER_SECONDS = 60.0

_GONE = (etcd.EtcdKeyNotFound, etcd.EtcdCompareFailed, etcd.EtcdNotFile)


class EtcdV2:
    """A Registry on etcd's v2 keys."""

    def __init__(self, settings: RegistrySettings) -> None:
        has_user = settings.etcd.user is not None
        self._root = settings.root
        self._has_user = has_user
        self._members = Members(settings.etcd, _REQUEST_WITH_USER_SECONDS if has_user else _REQUEST_SECONDS)
        self._tree = Tree(
            self._members,
            settings.root,
            _POLL_WITH_USER_SECONDS if has_user else _POLL_SECONDS,
            partial(Settling, 1.5, 1.5) if has_user else partial(Settling, 0.02, 0.2),
        )
        self._sweeper = SweeperProcess(settings)
        # Where sweeping is dear, processes that were started together do not do it together.
        self._next_sweep = time.monotonic() + random.uniform(0, _SWEEP_WITH_USER_SECONDS) if has_user else 0.0

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. The directory comes into being with the entry, so that nobody ever sees it empty."""
        path = path_of(self._root, service, instance)
        # First the sweeper: we may die in the very moment in which the entry is there.
        await self._sweeper.ensure(path, ttl)
        await self._members.call(lambda client: client.write(quoted(path), address, ttl=math.ceil(ttl)))

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry."""
        path = path_of(self._root, service, instance)

        def refresh(client: Any) -> bool:
            try:
                client.refresh(quoted(path), math.ceil(ttl), prevValue=address)
            except _GONE:
                return False
            return True

        renewed = await self._members.call(refresh)
        if renewed:
            await self._sweeper.ensure(path, ttl)
        if time.monotonic() > self._next_sweep:
            pause = _SWEEP_WITH_USER_SECONDS * random.uniform(0.7, 1.3) if self._has_user else ttl / 3
            self._next_sweep = time.monotonic() + pause
            with suppress(RegistryUnavailable):  # the entry is renewed all the same
                await self.sweep()
        return renewed

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""
        directory, path = directory_of(self._root, service), path_of(self._root, service, instance)

        def remove(client: Any) -> None:
            try:
                client.delete(quoted(path), prevValue=address)
            except _GONE:
                return  # gone already, or taken by a successor
            _remove_if_empty(client, directory)

        await self._members.call(remove)
        self._sweeper.forget(path)

    async def list(self, service: str) -> Instances:
        """See Registry."""
        directory = directory_of(self._root, service)

        def read_one(client: Any) -> Instances:
            try:
                found = client.read(quoted(directory), quorum=True)
            except etcd.EtcdKeyNotFound:
                return {}
            return entries_of({"nodes": found._children})

        return await self._members.call(read_one)

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry. With a user a change is seen within some two seconds, to read a burst of changes once."""
        directory_of(self._root, service)
        async with aclosing(self._tree.watch(service)) as lists:  # type: ignore[type-var]  # it is a generator
            async for instances in lists:
                yield instances

    async def names(self) -> Names:
        """See Registry."""
        services, _ = await self._members.call(partial(read, root=self._root))
        return sorted(name for name, entries in services.items() if entries and is_service_name(name))

    async def sweep(self) -> None:
        """Remove the empty directories of services. etcd itself refuses where an entry has come meanwhile."""

        def sweep(client: Any) -> None:
            try:
                services, _ = read(client, self._root)
            except etcd.EtcdInsufficientPermissions:
                return
            for service, entries in services.items():
                if not entries:
                    _remove_if_empty(client, f"{self._root}/{service}")

        await self._members.call(sweep)

    async def close(self) -> None:
        """See Registry. Connections close with the client objects; threads are daemons. The sweeper stays for entries that could not be withdrawn."""
        await asyncio.gather(self._tree.close(), self._sweeper.close())


def _remove_if_empty(client: Any, path: str) -> None:
    try:
        client.delete(quoted(path), dir=True)
    except (etcd.EtcdKeyNotFound, etcd.EtcdDirNotEmpty):
        pass  # gone already, or other instances are left
    except etcd.EtcdInsufficientPermissions:
        pass  # our user may write entries only; somebody else's has to do it
