"""Asking one member of etcd over its v3 interface, and the next where it does not answer.

etcd's calls are named by their paths, not by generated stubs: the messages have a proto package of our own (protos/etcd.proto), so that this
library lives beside any other etcd client in a process.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from grpc_discovery.addresses import Address, printable
from grpc_discovery.protos import etcd_pb2 as etcd
from grpc_discovery.registry.interface import RegistryUnavailable
from grpc_discovery.tasks import cancel_and_wait

_OPTIONS = [
    # gRPC waits up to two minutes between attempts by itself, and 20 s for a connection to come about.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A half-open connection is noticed by a ping, also under a call that may take long. etcd allows one every 5 s.
    ("grpc.keepalive_time_ms", 6000),
    ("grpc.http2.max_pings_without_data", 0),
    # These pings would count as well, and etcd closes the connection on too many.
    ("grpc.http2.bdp_probe", 0),
    # A channel that is opened anew must not find the broken connection of its predecessor.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]
# How long a connection may take to come about, and how long a ping. An etcd that hashes for a hundred others takes long even for these.
_CONNECT_SECONDS, _PING_SECONDS = 1.0, 3.0
_CONNECT_WITH_USER_SECONDS, _PING_WITH_USER_SECONDS = 10.0, 10.0
_CLOSE_SECONDS = 10.0

Result = TypeVar("Result")
Metadata = Sequence[tuple[str, str]]


class Member:
    """One etcd member: its channel and the calls on it, by etcd's own names."""

    def __init__(self, address: Address, credentials: grpc.ChannelCredentials | None, *, has_user: bool) -> None:
        ping = round(1000 * (_PING_WITH_USER_SECONDS if has_user else _PING_SECONDS))
        options = [
            *_OPTIONS,
            ("grpc.keepalive_timeout_ms", ping),
            ("grpc.http2.ping_timeout_ms", ping),
            # By its name this bounds a pause; what it bounds is an attempt to connect.
            (
                "grpc.min_reconnect_backoff_ms",
                round(1000 * (_CONNECT_WITH_USER_SECONDS if has_user else _CONNECT_SECONDS)),
            ),
        ]
        self.channel = (
            aio.secure_channel(address.target, credentials, options)
            if credentials
            else aio.insecure_channel(address.target, options)
        )
        self.heard_at = 0.0
        """When the member last answered anything, by time.monotonic()."""
        self._range = self._unary("KV/Range", etcd.RangeResponse)
        self._put = self._unary("KV/Put", etcd.PutResponse)
        self._txn = self._unary("KV/Txn", etcd.TxnResponse)
        self._grant = self._unary("Lease/LeaseGrant", etcd.LeaseGrantResponse)
        self._revoke = self._unary("Lease/LeaseRevoke", etcd.LeaseRevokeResponse)
        self._authenticate = self._unary("Auth/Authenticate", etcd.AuthenticateResponse)
        self._keep_alive = self._stream("Lease/LeaseKeepAlive", etcd.LeaseKeepAliveResponse)
        self._watch = self._stream("Watch/Watch", etcd.WatchResponse)

    def _unary(self, name: str, answer: type[Message]) -> Any:
        return self.channel.unary_unary(f"/etcdserverpb.{name}", _serialized, answer.FromString)

    def _stream(self, name: str, answer: type[Message]) -> Any:
        return self.channel.stream_stream(f"/etcdserverpb.{name}", _serialized, answer.FromString)

    async def authenticate(self, user: str, password: str, seconds: float) -> str:
        """A token for the user."""
        request = etcd.AuthenticateRequest(name=user, password=password)
        answer: etcd.AuthenticateResponse = await self._authenticate(request, timeout=seconds)
        return answer.token


class Session:
    """The calls of one member, made with one token and one deadline in seconds. They raise AioRpcError."""

    def __init__(self, member: Member, token: str, seconds: float) -> None:
        self.member = member
        self._metadata: Metadata = [("token", token)] if token else []
        self._seconds = seconds

    async def range(self, first: bytes, end: bytes = b"", *, keys_only: bool = False) -> etcd.RangeResponse:
        """The entries from `first` up to `end`; without an end the one entry."""
        request = etcd.RangeRequest(key=first, range_end=end, keys_only=keys_only)
        found: etcd.RangeResponse = await self.member._range(request, timeout=self._seconds, metadata=self._metadata)
        return found

    async def put(self, key: bytes, value: bytes, ttl: int) -> int:
        """Write an entry that lives by a lease of its own of `ttl` seconds, and return the lease."""
        granted: etcd.LeaseGrantResponse = await self.member._grant(
            etcd.LeaseGrantRequest(TTL=ttl), timeout=self._seconds, metadata=self._metadata
        )
        entry = etcd.PutRequest(key=key, value=value, lease=granted.ID)
        await self.member._put(entry, timeout=self._seconds, metadata=self._metadata)
        return granted.ID

    async def delete_if(self, key: bytes, value: bytes) -> None:
        """Delete an entry if it holds the value."""
        compare = etcd.Compare(result=etcd.Compare.EQUAL, target=etcd.Compare.VALUE, key=key, value=value)
        deletion = etcd.RequestOp(request_delete_range=etcd.DeleteRangeRequest(key=key))
        request = etcd.TxnRequest(compare=[compare], success=[deletion])
        await self.member._txn(request, timeout=self._seconds, metadata=self._metadata)

    async def keep_alive(self, lease: int) -> bool:
        """Renew a lease. False: there is none."""
        stream = self.member._keep_alive(timeout=self._seconds, metadata=self._metadata)
        try:
            await stream.write(etcd.LeaseKeepAliveRequest(ID=lease))
            answer = await stream.read()
        finally:
            stream.cancel()
        return isinstance(answer, etcd.LeaseKeepAliveResponse) and answer.TTL > 0

    async def revoke(self, lease: int) -> None:
        """End a lease; that it has ended already is no error."""
        try:
            await self.member._revoke(etcd.LeaseRevokeRequest(ID=lease), timeout=self._seconds, metadata=self._metadata)
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise

    async def change(self, first: bytes, end: bytes, revision: int, seconds: float) -> bool:
        """Wait for the next change behind `revision`, `seconds` at most. False: the watch ended without one."""
        # With `hasleader` a member that is cut off from the others ends the watch instead of keeping quiet.
        stream = self.member._watch(metadata=[*self._metadata, ("hasleader", "true")])
        try:
            async with asyncio.timeout(seconds):
                creation = etcd.WatchCreateRequest(key=first, range_end=end, start_revision=revision + 1)
                await stream.write(etcd.WatchRequest(create_request=creation))
                while isinstance(answer := await stream.read(), etcd.WatchResponse) and not answer.canceled:
                    if answer.events:
                        return True
        except TimeoutError:
            return True
        finally:
            stream.cancel()
        return False


class Members:
    """All members of one etcd. A call that one does not answer goes to the next."""

    def __init__(
        self, addresses: Sequence[Address], credentials: grpc.ChannelCredentials | None, *, has_user: bool
    ) -> None:
        self._addresses = addresses
        self._open = partial(Member, credentials=credentials, has_user=has_user)
        self._members = [self._open(address) for address in addresses]
        self._present = random.randrange(len(self._members))
        self._closing: set[asyncio.Task[None]] = set()

    def __str__(self) -> str:
        return f"etcd at {','.join(str(address) for address in self._addresses)}"

    async def call(self, work: Callable[[Member], Awaitable[Result]]) -> Result:
        """Run `work` on a member, on the next one where it does not answer, each once. Raises RegistryUnavailable."""
        failure: Exception | None = None
        for _ in self._members:
            chosen = self._present
            member, began = self._members[chosen], time.monotonic()
            try:
                result = await work(member)
                member.heard_at = time.monotonic()
                return result
            except (aio.AioRpcError, aio.UsageError, asyncio.InvalidStateError) as error:
                # The second: another call has given the member a new connection in the middle of this one.
                failure = error
                late = isinstance(error, aio.AioRpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                if late and member.heard_at < began:
                    self._reopen(chosen, member)
                if self._present == chosen:  # else another call has moved on already
                    self._present = (chosen + 1) % len(self._members)
        detail = failure.details() if isinstance(failure, aio.AioRpcError) else failure
        raise RegistryUnavailable(f"{self} gives no answer: {printable(str(detail))}") from failure

    async def close(self) -> None:
        """Close all connections; calls under way end."""
        await cancel_and_wait(self._closing)
        for member in self._members:
            await member.channel.close(None)

    def _reopen(self, number: int, silent: Member) -> None:
        """Give a member that answered nobody in time a new connection: the old one may be half open and would swallow every call."""
        if self._members[number] is silent:
            self._members[number] = self._open(self._addresses[number])
            # Calls that others have under way on it end by their own bounds; closing at once would cancel them.
            closing = asyncio.create_task(silent.channel.close(grace=_CLOSE_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
