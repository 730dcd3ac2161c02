"""etcd's v3 interface over gRPC: the same keys and values as in v2, each living by a lease.

Every call has its own short deadline, and every list comes with the revision it was read at. A watch is only what wakes the next reading,
so compaction, a lost stream or a lost lease cannot make the list wrong: at worst it is read a few seconds later.
"""

import asyncio
import math
from collections.abc import AsyncGenerator
from functools import partial

import grpc
from grpc import aio

from grpc_discovery.protos import etcd_pb2 as etcd
from grpc_discovery.registry.etcd_v3_client import EtcdV3Members, Session
from grpc_discovery.registry.interface import Instances, Names
from grpc_discovery.registry.paths import Settling, directory_of, is_service_name, path_of
from grpc_discovery.settings import RegistrySettings

_POLL_SECONDS = 5.0
_BROKEN_WATCH_SECONDS = 0.5


class EtcdV3:
    """A Registry on etcd's v3 interface. To be made in a running loop."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._root = settings.root
        self._members = EtcdV3Members(settings.etcd)
        self._leases: dict[str, int] = {}

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        path = path_of(self._root, service, instance)

        async def put(session: Session) -> int:
            # A lease of its own; one that the entry had before is left to expire, it holds nothing any more.
            grant = etcd.LeaseGrantRequest(TTL=math.ceil(ttl))
            lease = (await session.ask("Lease/LeaseGrant", grant, etcd.LeaseGrantResponse)).ID
            entry = etcd.PutRequest(key=path.encode(), value=address.encode(), lease=lease)
            await session.ask("KV/Put", entry, etcd.PutResponse)
            return lease

        self._leases[path] = await self._members.call(put)

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        path = path_of(self._root, service, instance)
        lease = self._leases.get(path)
        if lease is None:
            return False

        async def keep_alive(session: Session) -> bool:
            # The lease may live while its key was deleted, or the key may have passed to another lease.
            found = await session.ask("KV/Range", etcd.RangeRequest(key=path.encode()), etcd.RangeResponse)
            if not any(entry.value == address.encode() and entry.lease == lease for entry in found.kvs):
                return False
            request = etcd.LeaseKeepAliveRequest(ID=lease)
            kind = etcd.LeaseKeepAliveResponse
            async with session.stream("Lease/LeaseKeepAlive", request, kind, endless=False) as stream:
                answer = await stream.read()
            return isinstance(answer, kind) and answer.TTL > 0

        return await self._members.call(keep_alive)

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        path = path_of(self._root, service, instance)
        key, value = path.encode(), address.encode()
        compare = etcd.Compare(result=etcd.Compare.EQUAL, target=etcd.Compare.VALUE, key=key, value=value)
        deletion = etcd.RequestOp(request_delete_range=etcd.DeleteRangeRequest(key=key))
        delete = etcd.TxnRequest(compare=[compare], success=[deletion])
        await self._members.call(lambda session: session.ask("KV/Txn", delete, etcd.TxnResponse))
        if (lease := self._leases.pop(path, None)) is not None:
            # Last: it holds no key but ours.
            await self._members.call(partial(_revoke, lease))

    async def list(self, service: str) -> Instances:
        instances, _ = await self._members.call(partial(_read, directory_of(self._root, service)))
        return instances

    async def watch(self, service: str) -> AsyncGenerator[Instances]:
        directory = directory_of(self._root, service)
        settling = Settling(0.02, 0.2)
        while True:
            instances, revision = await self._members.call(partial(_read, directory))
            yield instances
            changed = await self._members.call(partial(_await_change, directory, revision))
            # Without a change: compacted away behind `revision`, or the token is no longer good: the next reading tells.
            await asyncio.sleep(settling.seconds() if changed else _BROKEN_WATCH_SECONDS)

    async def names(self) -> Names:
        first, end = _below(self._root)
        request = etcd.RangeRequest(key=first, range_end=end, keys_only=True)
        found = await self._members.call(lambda session: session.ask("KV/Range", request, etcd.RangeResponse))
        paths = [entry.key.removeprefix(first).decode(errors="replace").split("/") for entry in found.kvs]
        return sorted({path[0] for path in paths if len(path) == 2 and is_service_name(path[0])})

    async def close(self) -> None:
        await self._members.close()


async def _read(directory: str, session: Session) -> tuple[Instances, int]:
    """The instances of a service, and the revision of etcd's state in which they were read."""
    first, end = _below(directory)
    found = await session.ask("KV/Range", etcd.RangeRequest(key=first, range_end=end), etcd.RangeResponse)
    entries = {
        entry.key.removeprefix(first).decode(errors="replace"): entry.value.decode(errors="replace")
        for entry in found.kvs
    }
    return {instance: address for instance, address in entries.items() if "/" not in instance}, found.header.revision


async def _await_change(directory: str, revision: int, session: Session) -> bool:
    """Return after the next change behind `revision`, or when it is time to read again anyway. False: the watch ended."""
    first, end = _below(directory)
    creation = etcd.WatchCreateRequest(key=first, range_end=end, start_revision=revision + 1)
    request = etcd.WatchRequest(create_request=creation)
    try:
        async with (
            asyncio.timeout(_POLL_SECONDS),
            session.stream("Watch/Watch", request, etcd.WatchResponse, endless=True) as stream,
        ):
            while isinstance(answer := await stream.read(), etcd.WatchResponse) and not answer.canceled:
                if answer.events:
                    return True
    except TimeoutError:
        return True
    return False


async def _revoke(lease: int, session: Session) -> None:
    try:
        await session.ask("Lease/LeaseRevoke", etcd.LeaseRevokeRequest(ID=lease), etcd.LeaseRevokeResponse)
    except aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:  # it has ended already
            raise


def _below(directory: str) -> tuple[bytes, bytes]:
    """First key and end of the keys below a directory: all that begin with its name and a slash."""
    return f"{directory}/".encode(), f"{directory}0".encode()
