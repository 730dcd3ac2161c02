"""Asking one member of etcd for its v2 keys, and the next where it does not answer."""

import asyncio
import concurrent.futures
import logging
import random
import re
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import etcd
import urllib3

from grpc_discovery.addresses import Address, printable
from grpc_discovery.registry.interface import RegistryUnavailable
from grpc_discovery.settings import EtcdSettings

_OBJECT_ADDRESS = re.compile(r"<?\w[\w.]* object at 0x[0-9a-f]+>?:? ?")
_MAX_REASON = 300
# What keeps a half-open connection from being waited on for the whole of a long poll: (option of TCP, seconds or count).
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 2))
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _KEEPALIVE if hasattr(socket, name)),
]

# It reports every failed request as an error of its own; what that means is ours to say.
logging.getLogger("etcd").setLevel(logging.CRITICAL)

Result = TypeVar("Result")


class Client(etcd.Client):  # type: ignore[misc]  # the library has no types
    """python-etcd's client of one member, with what it lacks: IPv6 addresses, and users and passwords beyond Latin-1."""

    def __init__(self, address: Address, settings: EtcdSettings, seconds: float) -> None:
        options: dict[str, Any] = {"protocol": "https"} if settings.tls.given else {}
        if settings.tls.ca:
            options["ca_cert"] = str(settings.tls.ca)
        if settings.tls.certificate:
            options["cert"] = (str(settings.tls.certificate), str(settings.tls.key))
        super().__init__(
            host=f"[{address.host}]" if ":" in address.host else address.host,
            port=address.port,
            read_timeout=seconds,
            allow_redirect=False,
            per_host_pool_size=32,
            **options,
        )
        self._authorization = authorization(settings.user)
        # By itself urllib3 tries again three times, which would make every bound here four times as long.
        self.http.connection_pool_kw |= {"retries": False, "socket_options": _SOCKET_OPTIONS}

    def _get_headers(self) -> dict[str, str]:
        return dict(self._authorization)


def authorization(user: tuple[str, str] | None) -> dict[str, str]:
    """The header that names a user; nothing without one."""
    if user is None:
        return {}
    # What came from the environment and is not UTF-8 goes as the bytes it was.
    return urllib3.make_headers(basic_auth=":".join(user).encode(errors="surrogateescape").decode("latin-1"))


class EtcdV2Members:
    """All members of one etcd."""

    def __init__(self, settings: EtcdSettings, seconds: float) -> None:
        """`seconds` is how long a request may take."""
        self._settings = settings
        self._clients = [Client(address, settings, seconds) for address in settings.members]
        self._present = random.randrange(len(self._clients))

    async def call(self, work: Callable[[Any], Result]) -> Result:
        """Run `work` on a member, on the next one where it does not answer, each once. Raises RegistryUnavailable."""
        failure: Exception | None = None
        for _ in self._clients:
            chosen = self._present
            try:
                return await in_daemon_thread(partial(work, self._clients[chosen]))
            except etcd.EtcdInsufficientPermissions as error:
                raise RegistryUnavailable(self._refused()) from error
            except (etcd.EtcdException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                # The last four are what the library makes of an answer that is not etcd's.
                failure = error
                if self._present == chosen:  # else another call has moved on already
                    self._present = (chosen + 1) % len(self._clients)
        addresses = ",".join(map(str, self._settings.members))
        # The same for the same cause, so without addresses of objects in memory.
        reason = printable(_OBJECT_ADDRESS.sub("", str(failure)))[:_MAX_REASON]
        raise RegistryUnavailable(f"etcd at {addresses} gives no answer: {reason}") from failure

    def _refused(self) -> str:
        if self._settings.user is None:
            return "etcd asks for a user, and none is set"
        user = printable(self._settings.user[0])
        return f"etcd refuses its user {user!r}: the password is wrong, or the user may not do this"


async def in_daemon_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work in a thread and await its result.

    A daemon thread, because a long poll cannot be interrupted and must not hold up the end of the process: when the awaiting task is
    cancelled, the thread is left to end by itself.
    """
    result: concurrent.futures.Future[Result] = concurrent.futures.Future()
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # handed to the awaiting task, whatever it is
            result.set_exception(error)

    threading.Thread(target=run, name="etcd", daemon=True).start()
    return await asyncio.wrap_future(result)
