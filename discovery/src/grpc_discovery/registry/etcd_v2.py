"""etcd's v2 keys, which many existing clients read: <root>/<service>/<instance> = host:port.

Existing clients fail on an empty directory. etcd refuses to change the TTL of a directory that exists, so the directory of a service whose
last instance died without a word has to be removed by somebody: by any living process of ours that renews an entry, or by what the dead one
left behind (sweeper.py).

With a user etcd hashes the password at every request, some 66 ms of its CPU, so it is then asked for as little as possible.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote

import etcd

from grpc_discovery.registry.etcd_v2_client import EtcdV2Members, authorization, in_daemon_thread
from grpc_discovery.registry.interface import Instances, Names, RegistryUnavailable
from grpc_discovery.registry.paths import Settling, directory_of, is_service_name, path_of
from grpc_discovery.registry.sweeper import Sweeper
from grpc_discovery.settings import RegistrySettings
from grpc_discovery.tasks import cancel_and_wait

_REQUEST_SECONDS = 2.0
_POLL_SECONDS = 5.0
# With a user each request costs etcd so much that it answers late while many ask, and that it should be asked little.
_REQUEST_WITH_USER_SECONDS = 8.0
_POLL_WITH_USER_SECONDS = 30.0
_SWEEP_WITH_USER_SECONDS = 60.0
# Pause after an answer that is none, so that a broken proxy is not asked without pause.
_BROKEN_ANSWER_SECONDS = 0.5

_GONE = (etcd.EtcdKeyNotFound, etcd.EtcdCompareFailed, etcd.EtcdNotFile)


class EtcdV2:
    """A Registry on etcd's v2 keys."""

    def __init__(self, settings: RegistrySettings) -> None:
        asked, tls = settings.etcd, settings.etcd.tls
        self._root = settings.root
        self._has_user = asked.user is not None
        self._members = EtcdV2Members(asked, _REQUEST_WITH_USER_SECONDS if self._has_user else _REQUEST_SECONDS)
        self._following: _Following | None = None
        self._sweeper = Sweeper(
            {
                "members": [str(member) for member in asked.members],
                "root": settings.root,
                "headers": authorization(asked.user),
                "tls": tls.given,
                **{name: path and str(path) for name, path in tls},
            }
        )
        # Where sweeping is costly, processes that were started together do not do it together.
        self._next_sweep = time.monotonic() + random.uniform(0, _SWEEP_WITH_USER_SECONDS) if self._has_user else 0.0

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        path = path_of(self._root, service, instance)
        # First the sweeper: this process may die as soon as the entry is there. The directory is made with the entry.
        await in_daemon_thread(partial(self._sweeper.ensure, path, ttl))
        await self._members.call(lambda client: client.write(quote(path), address, ttl=math.ceil(ttl)))

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        path = path_of(self._root, service, instance)

        def refresh(client: Any) -> bool:
            try:
                client.refresh(quote(path), math.ceil(ttl), prevValue=address)
            except _GONE:
                return False
            return True

        renewed = await self._members.call(refresh)
        if renewed:
            await in_daemon_thread(partial(self._sweeper.ensure, path, ttl))
        if time.monotonic() > self._next_sweep:
            pause = _SWEEP_WITH_USER_SECONDS * random.uniform(0.7, 1.3) if self._has_user else ttl / 3
            self._next_sweep = time.monotonic() + pause
            with suppress(RegistryUnavailable):  # the entry is renewed all the same
                await self.sweep()
        return renewed

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        directory, path = directory_of(self._root, service), path_of(self._root, service, instance)

        def remove(client: Any) -> None:
            with suppress(*_GONE):  # gone already, or taken by a successor
                client.delete(quote(path), prevValue=address)
                _remove_if_empty(client, directory)

        await self._members.call(remove)
        self._sweeper.forget(path)

    async def list(self, service: str) -> Instances:
        directory = directory_of(self._root, service)

        def read_one(client: Any) -> Instances:
            try:
                return _entries_of({"nodes": client.read(quote(directory), quorum=True)._children})
            except etcd.EtcdKeyNotFound:
                return {}

        return await self._members.call(read_one)

    async def watch(self, service: str) -> AsyncGenerator[Instances]:
        directory_of(self._root, service)
        if self._following is None or self._following.failure:
            self._following = _Following(self._members, self._root, has_user=self._has_user)
        following = self._following
        seen: dict[str, Instances] | None = None
        following.watchers += 1
        try:
            while True:
                async with following.changed:
                    while following.services is seen:
                        if following.failure:
                            raise following.failure
                        await following.changed.wait()
                seen = following.services
                yield (seen or {}).get(service, {})
        finally:
            following.watchers -= 1
            if not following.watchers:
                if self._following is following:
                    self._following = None
                await cancel_and_wait([following.task])

    async def names(self) -> Names:
        services, _ = await self._members.call(partial(_read, root=self._root))
        return sorted(name for name, entries in services.items() if entries and is_service_name(name))

    async def sweep(self) -> None:
        """Remove the empty directories of services. etcd itself refuses where an entry has come meanwhile."""

        def sweep(client: Any) -> None:
            with suppress(etcd.EtcdInsufficientPermissions):
                services, _ = _read(client, self._root)
                for service in (service for service, entries in services.items() if not entries):
                    _remove_if_empty(client, f"{self._root}/{service}")

        await self._members.call(sweep)

    async def close(self) -> None:
        # Connections close with the client objects; threads are daemons. The sweeper stays for entries that could not be withdrawn.
        if self._following:
            await self._following.fail(RegistryUnavailable("the registry is closed"))
            await cancel_and_wait([self._following.task])
        await in_daemon_thread(self._sweeper.close)


class _Following:
    """One run of the long poll of all services, up to its first failure, for everybody who watches through one registry object.

    Where etcd has users it hashes a password at every request, so seven watches would cost seven times as much as one.
    """

    def __init__(self, members: EtcdV2Members, root: str, *, has_user: bool) -> None:
        self.services: dict[str, Instances] | None = None  # a new object with each reading
        self.failure: Exception | None = None
        self.changed = asyncio.Condition()
        self.watchers = 0
        self._members, self._root = members, root
        # After so many seconds is read again though nothing has changed. Behind the silence may be a half-open connection, or an etcd that
        # lost its data and whose index has gone backwards, so that the awaited one never comes.
        self._poll = _POLL_WITH_USER_SECONDS if has_user else _POLL_SECONDS
        self._settling = Settling(1.5, 1.5) if has_user else Settling(0.02, 0.2)
        self.task = asyncio.create_task(self._follow(), name="follow etcd")

    async def fail(self, error: Exception) -> None:
        """Tell all who watch that this run has ended."""
        async with self.changed:
            self.failure = self.failure or error
            self.changed.notify_all()

    async def _follow(self) -> None:
        try:
            while True:
                services, index = await self._members.call(partial(_read, root=self._root))
                async with self.changed:
                    self.services = services
                    self.changed.notify_all()
                await self._members.call(partial(self._await_change, index=index))
                await asyncio.sleep(self._settling.seconds())
        except Exception as error:
            # Told to all who watch, whatever it is: each of them begins again.
            await self.fail(error)

    def _await_change(self, client: Any, index: int) -> None:
        """Return after the next change behind `index`, or when it is time to read again anyway."""
        try:
            client.watch(self._root, index=index + 1, timeout=self._poll, recursive=True)
        except (etcd.EtcdWatchTimedOut, etcd.EtcdEventIndexCleared, etcd.EtcdWatcherCleared):
            pass
        except etcd.EtcdException as error:
            if type(error) is not etcd.EtcdException:
                raise
            # An answer without a body, or with another's: all that it tells is to read again.
            time.sleep(_BROKEN_ANSWER_SECONDS)


def _read(client: Any, root: str) -> tuple[dict[str, Instances], int]:
    """All entries below the root, and the index of etcd's state in which they were read.

    By quorum: a member that is cut off from the others would answer with old ones.
    """
    try:
        found = client.read(root, recursive=True, quorum=True)
    except etcd.EtcdKeyNotFound as missing:
        return {}, int(missing.payload.get("index") or 0)
    # The library offers the leaves only, among which an empty directory looks like a key.
    services = {child["key"].rpartition("/")[2]: _entries_of(child) for child in found._children if child.get("dir")}
    return services, found.etcd_index


def _entries_of(directory: dict[str, Any]) -> Instances:
    """The entries right below a directory, from etcd's own answer."""
    return {
        child["key"].rpartition("/")[2]: str(child.get("value", ""))
        for child in directory.get("nodes", [])
        if not child.get("dir")
    }


def _remove_if_empty(client: Any, path: str) -> None:
    # Gone already; other instances are left; or our user may write entries only, and somebody else's has to do it.
    with suppress(etcd.EtcdKeyNotFound, etcd.EtcdDirNotEmpty, etcd.EtcdInsufficientPermissions):
        client.delete(quote(path), dir=True)
