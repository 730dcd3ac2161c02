"""Asking one member of etcd over its v3 interface, and the next where it does not answer, as the user of the settings.

etcd's calls are named by their paths, not by generated stubs: the messages have a proto package of our own (protos/etcd.proto), so that this
library lives beside any other etcd client in a process.

etcd hashes a password for every token (66 ms of CPU by default), and forgets all tokens when it is restarted. So a process asks for one at a
time, shares it between all its registries with the same user, and allows etcd the time to answer a few hundred processes.
"""

import asyncio
import random
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from grpc_discovery.addresses import Address, printable
from grpc_discovery.protos import etcd_pb2 as etcd
from grpc_discovery.registry.interface import RegistryUnavailable
from grpc_discovery.settings import EtcdSettings
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
    # A channel that is opened again must not find the broken connection of its predecessor.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]
# How long a connection may take to come about, and how long a ping. An etcd that hashes for a hundred others takes long even for these.
_CONNECT_MS, _PING_MS = 1000, 3000
_CONNECT_WITH_USER_MS, _PING_WITH_USER_MS = 10_000, 10_000
_CLOSE_SECONDS = 10.0
_REQUEST_SECONDS = 2.0
# An etcd that was restarted hashes for all processes, 66 ms each, before the last has its token. A process that gives up earlier
# and asks again makes etcd hash again, for nothing.
_AUTHENTICATE_SECONDS = 60.0
# A first token is asked for almost at once, since processes do not all start at the same time; but all of them notice a restarted etcd at once.
_FIRST_JITTER_SECONDS = 0.1
_JITTER_SECONDS = 2.0
# A process that has just needed a token is probably not the only one: etcd hashes for others, and all its answers come late for a while.
_REQUEST_AFTER_TOKEN_SECONDS = 10.0
_AFTER_TOKEN_SECONDS = 15.0

Answer = TypeVar("Answer", bound=Message)
Result = TypeVar("Result")


class Session:
    """Calls on one channel by etcd's own names, made with one token and one deadline in seconds. They raise AioRpcError."""

    def __init__(self, channel: aio.Channel, token: str, seconds: float) -> None:
        self._channel = channel
        self._metadata = (("token", token),) if token else ()
        self._seconds = seconds

    async def ask(self, name: str, request: Message, answer: type[Answer]) -> Answer:
        """One answer, of the type `answer`."""
        call: Any = self._channel.unary_unary(f"/etcdserverpb.{name}", _serialized, answer.FromString)
        found: Answer = await call(request, timeout=self._seconds, metadata=self._metadata)
        return found

    @asynccontextmanager
    async def stream(self, name: str, request: Message, answer: type[Answer], *, endless: bool) -> AsyncIterator[Any]:
        """A stream for as long as the `async with` lasts; `await read()` brings the next answer, or aio.EOF. `endless`: without a deadline."""
        open_stream: Any = self._channel.stream_stream(f"/etcdserverpb.{name}", _serialized, answer.FromString)
        # With `hasleader` a member that is cut off from the others ends a watch instead of keeping quiet.
        metadata = (*self._metadata, ("hasleader", "true"))
        stream = open_stream(timeout=None if endless else self._seconds, metadata=metadata)
        try:
            await stream.write(request)
            yield stream
        finally:
            stream.cancel()


class Tokens:
    """The present token of one user, for all who share it. '' means: etcd asks nobody for a user."""

    def __init__(self, user: str, password: str) -> None:
        try:
            password.encode(), user.encode()
        except UnicodeEncodeError:
            # The error itself would show a character of it.
            raise ValueError("etcd's user or password is not text in UTF-8") from None
        self.user = user
        self.present: str | None = None
        self._password = password
        self._renewed_at = -_AFTER_TOKEN_SECONDS
        self._asking: asyncio.Task[str] | None = None

    def request_seconds(self) -> float:
        """How long a request may take now."""
        is_new = time.monotonic() - self._renewed_at < _AFTER_TOKEN_SECONDS
        return _REQUEST_AFTER_TOKEN_SECONDS if is_new else _REQUEST_SECONDS

    async def other_than(self, used: str | None, channel: aio.Channel) -> str:
        """A token that is not `used`: one that is there already, or a new one. All who wait share one request.

        Raises RegistryUnavailable for a wrong password and AioRpcError when etcd gives no answer.
        """
        if self.present is not None and self.present != used:
            return self.present
        if self._asking is None or self._asking.done():
            jitter = _FIRST_JITTER_SECONDS if self.present is None else _JITTER_SECONDS
            self._asking = asyncio.create_task(self._ask(channel, jitter), name="etcd token")
            # Those who wait get the error; if nobody waits any more, asyncio need not complain.
            self._asking.add_done_callback(lambda asking: asking.cancelled() or asking.exception())
        # Shielded: one who stops waiting must not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self, channel: aio.Channel, jitter: float) -> str:
        request = etcd.AuthenticateRequest(name=self.user, password=self._password)
        try:
            await asyncio.sleep(random.uniform(0, jitter))
            session = Session(channel, "", _AUTHENTICATE_SECONDS)
            self.present = (await session.ask("Auth/Authenticate", request, etcd.AuthenticateResponse)).token
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                self.present = ""
            elif "authentication failed" in str(error.details()):
                raise RegistryUnavailable(f"etcd knows no user {printable(self.user)!r} with this password") from error
            else:
                raise
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            # The registry that asked was closed; the others that wait are not to be cancelled with it.
            raise RegistryUnavailable("the request for a token of etcd was interrupted") from None
        self._renewed_at = time.monotonic()
        return self.present


# The tokens of each user of an etcd, for all who ask in one running loop.
_Shared = weakref.WeakValueDictionary[tuple[tuple[Address, ...], tuple[str, str]], Tokens]
_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = weakref.WeakKeyDictionary()


def tokens_of(settings: EtcdSettings) -> Tokens | None:
    """The tokens of the user of the settings: the same object for all who ask in the running loop. None without a user."""
    if settings.user is None:
        return None
    of_loop = _shared.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    key = (tuple(sorted(settings.members)), settings.user)
    if (tokens := of_loop.get(key)) is None:
        tokens = of_loop[key] = Tokens(*settings.user)
    return tokens


class EtcdV3Members:
    """All members of one etcd, each over a channel of its own. To be made in a running loop."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._addresses = settings.members
        self._credentials = settings.tls.channel_credentials()
        self._tokens = tokens_of(settings)
        self._channels = [self._open(address) for address in self._addresses]
        # When each last answered anything, by time.monotonic().
        self._heard_at = [0.0] * len(self._channels)
        self._present = random.randrange(len(self._channels))
        self._closing: set[asyncio.Task[None]] = set()

    async def call(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        """Run `work` on a member, on the next one where it does not answer, each once. Raises RegistryUnavailable."""
        failure: Exception | None = None
        for _ in self._channels:
            chosen, began = self._present, time.monotonic()
            channel = self._channels[chosen]
            try:
                result = await self._as_user(work, channel)
            except (aio.AioRpcError, aio.UsageError, asyncio.InvalidStateError) as error:
                # The second: another call has given the member a new connection in the middle of this one.
                failure = error
                late = isinstance(error, aio.AioRpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                if late and self._heard_at[chosen] < began and self._channels[chosen] is channel:
                    self._reopen(chosen)
                if self._present == chosen:  # else another call has moved on already
                    self._present = (chosen + 1) % len(self._channels)
            else:
                self._heard_at[chosen] = time.monotonic()
                return result
        addresses = ",".join(map(str, self._addresses))
        detail = failure.details() if isinstance(failure, aio.AioRpcError) else failure
        raise RegistryUnavailable(f"etcd at {addresses} gives no answer: {printable(str(detail))}") from failure

    async def close(self) -> None:
        """Close all connections; calls under way end."""
        await cancel_and_wait(self._closing)
        for channel in self._channels:
            await channel.close(None)

    async def _as_user(self, work: Callable[[Session], Awaitable[Result]], channel: aio.Channel) -> Result:
        """Run `work`; where etcd asks for a user, get a token first, and a new one when it is no longer good."""
        tokens, used = self._tokens, None
        try:
            if tokens is None:
                return await work(Session(channel, "", _REQUEST_SECONDS))
            used = await tokens.other_than(None, channel)
            try:
                return await work(Session(channel, used, tokens.request_seconds()))
            except aio.AioRpcError as error:
                if not _is_token_refused(error):
                    raise
            used = await tokens.other_than(used, channel)
            return await work(Session(channel, used, tokens.request_seconds()))
        except aio.AioRpcError as error:
            user = repr(printable(tokens.user)) if tokens else "''"
            if error.code() is grpc.StatusCode.PERMISSION_DENIED:
                raise RegistryUnavailable(f"etcd does not permit this to its user {user}") from error
            if not _is_token_refused(error):
                raise
            refusal = (
                f"etcd refuses its own token of the user {user}" if tokens else "etcd asks for a user, and none is set"
            )
            raise RegistryUnavailable(refusal) from error

    def _open(self, address: Address) -> aio.Channel:
        connect, ping = (_CONNECT_WITH_USER_MS, _PING_WITH_USER_MS) if self._tokens else (_CONNECT_MS, _PING_MS)
        options = [
            *_OPTIONS,
            ("grpc.keepalive_timeout_ms", ping),
            ("grpc.http2.ping_timeout_ms", ping),
            # By its name this bounds a pause; what it bounds is an attempt to connect.
            ("grpc.min_reconnect_backoff_ms", connect),
        ]
        if self._credentials:
            return aio.secure_channel(address.target, self._credentials, options)
        return aio.insecure_channel(address.target, options)

    def _reopen(self, number: int) -> None:
        """Give a member that answered nobody in time a new connection: the old one may be half open and would swallow every call."""
        silent, self._channels[number] = self._channels[number], self._open(self._addresses[number])
        self._heard_at[number] = 0.0
        # Calls that others have under way on it end by their own bounds; closing at once would cancel them.
        closing = asyncio.create_task(silent.close(grace=_CLOSE_SECONDS))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _is_token_refused(error: aio.AioRpcError) -> bool:
    """Whether a new token may help. etcd says so by text where it gives the same code to wrong arguments (tests/registry/test_users.py)."""
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        text = str(error.details())
        return "user name is empty" in text or "revision of auth store is old" in text
    return error.code() is grpc.StatusCode.UNAUTHENTICATED


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
