"""All services in etcd's v2 keys, followed by one long poll for everybody who watches through one registry object.

Where etcd has users it hashes a password at every request, so seven watches would cost seven times as much as one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import etcd

from grpc_discovery.registry.etcd_v2_client import Members
from grpc_discovery.registry.interface import Instances, RegistryUnavailable
from grpc_discovery.registry.paths import Settling
from grpc_discovery.tasks import cancel_and_wait

# Pause after an answer that is none, so that a broken proxy is not asked without pause.
_BROKEN_ANSWER_SECONDS = 0.5


class Tree:
    """Follows the root for as long as anybody watches."""

    def __init__(self, members: Members, root: str, poll: float, settling: Callable[[], Settling]) -> None:
        """`poll`: seconds after which is read again though nothing has changed. Behind the silence may be a half-open connection, or an
        etcd that lost its data and whose index has gone backwards, so that the awaited one never comes.
        """
        self._members, self._root, self._poll, self._settling = members, root, poll, settling
        self._following: _Following | None = None

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """The entries of one service, as in Registry.watch."""
        if self._following is None or self._following.failure:
            self._following = _Following()
            self._following.start(self._follow(self._following))
        following = self._following
        following.watchers += 1
        seen = 0
        try:
            while True:
                while following.readings == seen:
                    if following.failure:
                        raise following.failure
                    await following.changed.wait()
                seen = following.readings
                yield following.services.get(service, {})
        finally:
            following.watchers -= 1
            if not following.watchers:
                if self._following is following:
                    self._following = None
                await following.stop()

    async def close(self) -> None:
        """Stop following; who still watches gets RegistryUnavailable."""
        if self._following:
            self._following.fail(RegistryUnavailable("the registry is closed"))
            await self._following.stop()

    async def _follow(self, following: "_Following") -> None:
        settling = self._settling()
        try:
            while True:
                services, index = await self._members.call(partial(read, root=self._root))
                following.read(services)
                await self._members.call(partial(self._await_change, index=index))
                await asyncio.sleep(settling.seconds())
        except Exception as error:
            # Told to all who watch, whatever it is: each of them begins again.
            following.fail(error)

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


class _Following:
    """One run of the long poll, up to its first failure."""

    def __init__(self) -> None:
        self.services: dict[str, Instances] = {}
        self.readings = 0
        self.failure: Exception | None = None
        self.changed = asyncio.Event()
        self.watchers = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Any) -> None:
        """Begin."""
        self._task = asyncio.create_task(work, name="follow etcd")

    def read(self, services: dict[str, Instances]) -> None:
        """Pass a reading on."""
        self.services = services
        self.readings += 1
        self._wake()

    def fail(self, error: Exception) -> None:
        """Tell that this run has ended."""
        self.failure = self.failure or error
        self._wake()

    async def stop(self) -> None:
        """End the long poll."""
        await cancel_and_wait([self._task])

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def read(client: Any, root: str) -> tuple[dict[str, Instances], int]:
    """All entries below the root, and the index of etcd's state in which they were read.

    By quorum: a member that is cut off from the others would answer with old ones.
    """
    try:
        found = client.read(root, recursive=True, quorum=True)
    except etcd.EtcdKeyNotFound as missing:
        return {}, int(missing.payload.get("index") or 0)
    # The library offers the leaves only, among which an empty directory looks like a key.
    services = {child["key"].rpartition("/")[2]: entries_of(child) for child in found._children if child.get("dir")}
    return services, found.etcd_index


def entries_of(directory: dict[str, Any]) -> Instances:
    """The entries right below a directory, from etcd's own answer."""
    return {
        child["key"].rpartition("/")[2]: str(child.get("value", ""))
        for child in directory.get("nodes", [])
        if not child.get("dir")
    }
