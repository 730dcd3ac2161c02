"""Tokens of etcd's v3 users: asked for once by all who wait.

etcd hashes a password for every token (66 ms of CPU by default), and forgets all tokens when it is restarted. So a process asks for one at a
time, shares it between all its registries with the same user, and allows etcd the time to answer a few hundred processes.
"""

import asyncio
import logging
import random
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc
from grpc import aio

from grpc_discovery.addresses import Address, printable
from grpc_discovery.registry.etcd_v3_member import Member, Session
from grpc_discovery.registry.interface import RegistryUnavailable

# 150 processes that ask a restarted etcd at once wait 5 s for the last answer: 66 ms each, on two cores. One who gives up earlier and asks again
# makes it hash again, for nothing.
_AUTHENTICATE_SECONDS = 15.0
# A first token is asked for almost at once, since processes do not all start in one moment; but all of them notice a restarted etcd in one.
_FIRST_JITTER_SECONDS = 0.1
_JITTER_SECONDS = 2.0
_REQUEST_SECONDS = 2.0
# Whoever has just needed a token is probably not the only one: etcd hashes for others, and all its answers come late for a while.
_REQUEST_AFTER_TOKEN_SECONDS = 10.0
_AFTER_TOKEN_SECONDS = 15.0

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


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

    async def renewed(self, used: str | None, member: Member) -> str:
        """A token other than `used`: one that somebody has got meanwhile, or a new one. All who wait share one request.

        Raises RegistryUnavailable for a wrong password and AioRpcError when etcd gives no answer.
        """
        if self.present is not None and self.present != used:
            return self.present
        if self._asking is None or self._asking.done():
            jitter = _FIRST_JITTER_SECONDS if self.present is None else _JITTER_SECONDS
            self._asking = asyncio.create_task(self._ask(member, jitter), name="etcd token")
            self._asking.add_done_callback(_looked_at)
        # Shielded: one who stops waiting must not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self, member: Member, jitter: float) -> str:
        try:
            await asyncio.sleep(random.uniform(0, jitter))
            self.present = await member.authenticate(self.user, self._password, _AUTHENTICATE_SECONDS)
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


class Login:
    """Runs work on a member of etcd with the token it needs, if any."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    async def run(self, work: Callable[[Session], Awaitable[Result]], member: Member) -> Result:
        """Run `work`; where etcd asks for a user, get a token first, and a new one when it is no longer good.

        Raises RegistryUnavailable when etcd refuses the user, AioRpcError for all else.
        """
        tokens = self._tokens
        try:
            if tokens is None:
                return await work(Session(member, "", _REQUEST_SECONDS))
            used = tokens.present if tokens.present is not None else await tokens.renewed(None, member)
            try:
                return await work(Session(member, used, tokens.request_seconds()))
            except aio.AioRpcError as error:
                if not _is_token_refused(error):
                    raise
            used = await tokens.renewed(used, member)
            return await work(Session(member, used, tokens.request_seconds()))
        except aio.AioRpcError as error:
            if (refusal := _refusal(error, tokens.user if tokens else None)) is None:
                raise
            raise refusal from error


def shared_tokens(addresses: Sequence[Address], user: tuple[str, str]) -> Tokens:
    """The tokens of a user of an etcd: the same object for all who ask in the running loop."""
    tokens_of = _shared.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    key = (tuple(sorted(addresses)), user)
    if (tokens := tokens_of.get(key)) is None:
        tokens = tokens_of[key] = Tokens(*user)
    return tokens


_shared: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.WeakValueDictionary[tuple[tuple[Address, ...], tuple[str, str]], Tokens]
] = weakref.WeakKeyDictionary()


def _is_token_refused(error: aio.AioRpcError) -> bool:
    """Whether a new token may help. etcd says so by text where it gives the same code to wrong arguments (tests/registry/test_etcd_v3_auth.py)."""
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        text = str(error.details())
        return "user name is empty" in text or "revision of auth store is old" in text
    return error.code() is grpc.StatusCode.UNAUTHENTICATED


def _refusal(error: aio.AioRpcError, user: str | None) -> RegistryUnavailable | None:
    """What an error says of our user, in a sentence; None: it says nothing of it."""
    if error.code() is grpc.StatusCode.PERMISSION_DENIED:
        return RegistryUnavailable(f"etcd does not permit this to its user {printable(user or '')!r}")
    if _is_token_refused(error):
        if user is None:
            return RegistryUnavailable("etcd asks for a user, and none is set")
        return RegistryUnavailable(f"etcd refuses its own token of the user {printable(user)!r}")
    return None


def _looked_at(asking: "asyncio.Task[str]") -> None:
    """Those who wait get the error; if nobody waits any more, asyncio need not complain."""
    if not asking.cancelled():
        asking.exception()
