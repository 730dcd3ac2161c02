"""etcd's v3 interface over gRPC: the same keys and values as in v2, each living by a lease.

Every call has its own short deadline, and every list comes with the revision it was read at. A watch is only what wakes the next reading,
so compaction, a lost stream or a lost lease cannot make the list wrong: at worst it is read a few seconds later.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from grpc_discovery.registry.etcd_v3_auth import Login, shared_tokens
from grpc_discovery.registry.etcd_v3_member import Members, Session
from grpc_discovery.registry.interface import Instances, Names
from grpc_discovery.registry.paths import Settling, directory_of, is_service_name, path_of
from grpc_discovery.settings import RegistrySettings

_POLL_SECONDS = 5.0
_BROKEN_WATCH_SECONDS = 0.5

Result = TypeVar("Result")


class EtcdV3:
    """A Registry on etcd's v3 interface. To be made in a running loop."""

    def __init__(self, settings: RegistrySettings) -> None:
        etcd = settings.etcd
        self._root = settings.root
        self._members = Members(etcd.members, etcd.tls.channel_credentials(), has_user=bool(etcd.user))
        self._login = Login(shared_tokens(etcd.members, etcd.user) if etcd.user else None)
        self._leases: dict[str, int] = {}

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. A lease of its own; one that the entry had before is left to expire, it holds nothing any more."""
        path = path_of(self._root, service, instance)

        async def put(etcd: Session) -> int:
            return await etcd.put(path.encode(), address.encode(), math.ceil(ttl))

        self._leases[path] = await self._call(put)

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry. The lease may live while its key was deleted, or the key may have passed to another lease, so both are looked at."""
        path = path_of(self._root, service, instance)
        lease = self._leases.get(path)
        if lease is None:
            return False

        async def keep_alive(etcd: Session) -> bool:
            found = await etcd.range(path.encode())
            ours = any(entry.value == address.encode() and entry.lease == lease for entry in found.kvs)
            return ours and await etcd.keep_alive(lease)

        return await self._call(keep_alive)

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry. The lease is revoked last: it holds no key but ours."""
        path = path_of(self._root, service, instance)
        await self._call(lambda etcd: etcd.delete_if(path.encode(), address.encode()))
        lease = self._leases.pop(path, None)
        if lease is not None:
            await self._call(lambda etcd: etcd.revoke(lease))

    async def list(self, service: str) -> Instances:
        """See Registry."""
        instances, _ = await self._call(partial(_read, directory_of(self._root, service)))
        return instances

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        directory = directory_of(self._root, service)
        settling = Settling(0.02, 0.2)
        while True:
            instances, revision = await self._call(partial(_read, directory))
            yield instances
            if await self._call(partial(_change, directory, revision)):
                await asyncio.sleep(settling.seconds())
            else:
                # Compacted away behind `revision`, or the token is no longer good: the next reading tells.
                await asyncio.sleep(_BROKEN_WATCH_SECONDS)

    async def names(self) -> Names:
        """See Registry. Only keys are read."""
        first, end = _below(self._root)
        found = await self._call(lambda etcd: etcd.range(first, end, keys_only=True))
        paths = (entry.key.removeprefix(first).decode(errors="replace") for entry in found.kvs)
        return sorted({path.partition("/")[0] for path in paths if path.count("/") == 1 and _is_entry(path)})

    async def close(self) -> None:
        """See Registry."""
        await self._members.close()

    async def _call(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        return await self._members.call(partial(self._login.run, work))


async def _read(directory: str, etcd: Session) -> tuple[Instances, int]:
    """The instances of a service, and the revision of etcd's state in which they were read."""
    first, end = _below(directory)
    found = await etcd.range(first, end)
    entries = {
        entry.key.removeprefix(first).decode(errors="replace"): entry.value.decode(errors="replace")
        for entry in found.kvs
    }
    return {instance: address for instance, address in entries.items() if "/" not in instance}, found.header.revision


async def _change(directory: str, revision: int, etcd: Session) -> bool:
    first, end = _below(directory)
    return await etcd.change(first, end, revision, _POLL_SECONDS)


def _below(directory: str) -> tuple[bytes, bytes]:
    """First key and end of the keys below a directory: all that begin with its name and a slash."""
    return f"{directory}/".encode(), f"{directory}0".encode()


def _is_entry(path: str) -> bool:
    return is_service_name(path.partition("/")[0])
