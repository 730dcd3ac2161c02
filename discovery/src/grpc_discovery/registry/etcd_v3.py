"""etcd's v3 interface over gRPC: the same keys and values as in v2, each living by a lease.

Every call has its own short deadline, and every list comes with the revision it was read at. A watch is only what wakes the next reading,
so compaction, a lost stream or a lost lease cannot make the list wrong: at worst it is read a few seconds later.
"""

import asyncio
import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import grpc
from grpc import aio

from common.registry.interface import Instances, RegistryUnavailable
from common.registry.names import directory, key
from common.settings import Settings
from protos import etcd_rpc_pb2 as rpc
from protos import etcd_rpc_pb2_grpc as rpc_grpc

_REQUEST_SECONDS = 1.5
_POLL_SECONDS = 5.0
_SETTLE_SECONDS = 0.02
_CANCELLED_WATCH_SECONDS = 0.5

_OPTIONS = [
    # gRPC waits up to two minutes between attempts by itself, and 20 s for a connection to come about.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A channel that is opened anew must not find the broken connection of its predecessor.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class _Member:
    """One etcd member: its channel and the stubs on it."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.channel = (
            aio.secure_channel(address, credentials, _OPTIONS)
            if credentials
            else aio.insecure_channel(address, _OPTIONS)
        )
        self.keys = rpc_grpc.KVStub(self.channel)
        self.leases = rpc_grpc.LeaseStub(self.channel)
        self.watches = rpc_grpc.WatchStub(self.channel)
        self.users = rpc_grpc.AuthStub(self.channel)


class EtcdV3:
    """A Registry on etcd's v3 interface. With several etcd members, a call that one does not answer goes to the next."""

    def __init__(self, settings: Settings) -> None:
        self._addresses = [f"{host}:{port}" for host, port in settings.etcd_hosts]
        self._credentials = _credentials(settings)
        self._members = [_Member(address, self._credentials) for address in self._addresses]
        self._present = random.randrange(len(self._members))
        self._user = (
            (settings.etcd_username, settings.etcd_password.get_secret_value())
            if settings.etcd_username and settings.etcd_password
            else None
        )
        self._token: list[tuple[str, str]] = []
        self._leases: dict[str, int] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. A lease of its own; one that the entry had before is left to expire, it holds nothing any more."""

        async def put(member: _Member) -> int:
            granted = await member.leases.LeaseGrant(
                rpc.LeaseGrantRequest(TTL=math.ceil(ttl)), timeout=_REQUEST_SECONDS, metadata=self._token
            )
            entry = rpc.PutRequest(key=key(service, instance).encode(), value=address.encode(), lease=granted.ID)
            await member.keys.Put(entry, timeout=_REQUEST_SECONDS, metadata=self._token)
            return granted.ID

        self._leases[key(service, instance)] = await self._call(put)

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry. The lease may live while its key was deleted, or the key may have passed to another lease, so both are looked at."""
        name = key(service, instance)
        lease = self._leases.get(name)
        if lease is None:
            return False

        async def keep_alive(member: _Member) -> bool:
            found = await member.keys.Range(
                rpc.RangeRequest(key=name.encode()), timeout=_REQUEST_SECONDS, metadata=self._token
            )
            if not any(entry.value == address.encode() and entry.lease == lease for entry in found.kvs):
                return False
            stream = member.leases.LeaseKeepAlive(None, timeout=_REQUEST_SECONDS, metadata=self._token)
            await stream.write(rpc.LeaseKeepAliveRequest(ID=lease))
            answer = await stream.read()
            stream.cancel()
            return isinstance(answer, rpc.LeaseKeepAliveResponse) and answer.TTL > 0

        return await self._call(keep_alive)

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry. The lease is revoked last: it holds no key but ours."""
        name = key(service, instance)

        async def remove(member: _Member) -> None:
            still_ours = rpc.Compare(
                result=rpc.Compare.EQUAL, target=rpc.Compare.VALUE, key=name.encode(), value=address.encode()
            )
            deletion = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=name.encode()))
            await member.keys.Txn(
                rpc.TxnRequest(compare=[still_ours], success=[deletion]), timeout=_REQUEST_SECONDS, metadata=self._token
            )

        await self._call(remove)
        lease = self._leases.pop(name, None)
        if lease is not None:

            async def revoke(member: _Member) -> None:
                try:
                    await member.leases.LeaseRevoke(
                        rpc.LeaseRevokeRequest(ID=lease), timeout=_REQUEST_SECONDS, metadata=self._token
                    )
                except aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:  # it has expired
                        raise

            await self._call(revoke)

    async def list(self, service: str) -> Instances:
        """See Registry."""
        instances, _ = await self._call(partial(self._read, service=service))
        return instances

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        while True:
            instances, revision = await self._call(partial(self._read, service=service))
            yield instances
            await self._call(partial(self._await_change, service=service, revision=revision))
            await asyncio.sleep(_SETTLE_SECONDS)

    async def close(self) -> None:
        """See Registry."""
        for closing in self._closing:
            closing.cancel()
        for member in self._members:
            await member.channel.close(None)

    async def _read(self, member: _Member, service: str) -> tuple[Instances, int]:
        """The instances of a service, and the revision of etcd's state in which they were read."""
        first, end = _range(service)
        found = await member.keys.Range(
            rpc.RangeRequest(key=first, range_end=end), timeout=_REQUEST_SECONDS, metadata=self._token
        )
        entries = {
            entry.key.removeprefix(first).decode(errors="replace"): entry.value.decode(errors="replace")
            for entry in found.kvs
        }
        return {
            instance: address for instance, address in entries.items() if "/" not in instance
        }, found.header.revision

    async def _await_change(self, member: _Member, service: str, revision: int) -> None:
        """Return after the next change behind `revision`, or when it is time to look anew anyway."""
        first, end = _range(service)
        stream = member.watches.Watch(None, metadata=self._token)
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                creation = rpc.WatchCreateRequest(key=first, range_end=end, start_revision=revision + 1)
                await stream.write(rpc.WatchRequest(create_request=creation))
                while isinstance(answer := await stream.read(), rpc.WatchResponse):
                    if answer.events:
                        return
                    if answer.canceled:
                        # Compacted away behind `revision`, or the token is no longer good: the next reading tells.
                        await asyncio.sleep(_CANCELLED_WATCH_SECONDS)
                        return
        except TimeoutError:
            pass
        finally:
            stream.cancel()

    async def _call(self, work: Callable[[_Member], Awaitable[Result]]) -> Result:
        """Run `work` on a member of etcd, on the next one where it does not answer, each once."""
        failure: Exception | None = None
        for _ in self._members:
            chosen = self._present
            member = self._members[chosen]
            try:
                return await self._authenticated(member, work)
            except (aio.AioRpcError, aio.UsageError, asyncio.InvalidStateError) as error:
                # The second: another call has given the member a new connection in the middle of this one.
                failure = error
                if isinstance(error, aio.AioRpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._reopen(chosen, member)
                if self._present == chosen:  # else another call has moved on already
                    self._present = (chosen + 1) % len(self._members)
        detail = failure.details() if isinstance(failure, aio.AioRpcError) else failure
        raise RegistryUnavailable(f"etcd at {','.join(self._addresses)} gives no answer: {detail}") from failure

    async def _authenticated(self, member: _Member, work: Callable[[_Member], Awaitable[Result]]) -> Result:
        """Run `work`; where etcd asks for a user, get a token first, and a new one when it is no longer good."""
        if self._user is None:
            return await work(member)
        if self._token:
            try:
                return await work(member)
            except aio.AioRpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAUTHENTICATED,
                    grpc.StatusCode.INVALID_ARGUMENT,
                    grpc.StatusCode.PERMISSION_DENIED,
                ):
                    raise
        name, password = self._user
        try:
            answer = await member.users.Authenticate(
                rpc.AuthenticateRequest(name=name, password=password), timeout=_REQUEST_SECONDS
            )
            self._token = [("token", answer.token)]
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            self._token = []  # this etcd asks nobody for a user
        return await work(member)

    def _reopen(self, number: int, silent: _Member) -> None:
        """Give a member that did not answer in time a new connection: the old one may be half open and would swallow every call."""
        if self._members[number] is silent:
            self._members[number] = _Member(self._addresses[number], self._credentials)
            # Calls that others have under way on it end by their own bounds; closing at once would cancel them.
            closing = asyncio.create_task(silent.channel.close(grace=2 * _POLL_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _range(service: str) -> tuple[bytes, bytes]:
    """First key and end of the keys below a directory: all that begin with its name and a slash."""
    name = directory(service).encode()
    return name + b"/", name + b"0"


def _credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    if not (settings.etcd_ca or settings.etcd_certificate):
        return None
    authority = settings.etcd_ca.read_bytes() if settings.etcd_ca else None
    if settings.etcd_certificate and settings.etcd_key:
        return grpc.ssl_channel_credentials(
            authority, settings.etcd_key.read_bytes(), settings.etcd_certificate.read_bytes()
        )
    return grpc.ssl_channel_credentials(authority)
