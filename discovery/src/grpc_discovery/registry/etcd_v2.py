"""etcd's v2 keys, which existing clients read: /killrvideo/services/<ServiceName>/<instance> = host:port.

python-etcd is a blocking library, so each call runs in a thread of its own kind: daemon threads, because a long poll cannot be
interrupted and must not hold up the end of the process.

Existing clients fail on an empty directory. etcd refuses to change the TTL of a directory that exists, so the directory of a service whose
last instance died without a word has to be removed by somebody: by any living process of ours that renews an entry, or by the dead one's
last will (last_will.py).
"""

import asyncio
import logging
import math
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import etcd

from common.registry.interface import Instances, RegistryUnavailable
from common.registry.names import ROOT, directory, key
from common.settings import PREFIX, Settings

_REQUEST_SECONDS = 1.5
# A watch that hears nothing for so long asks anew: behind it may be a half-open connection, or an etcd that lost its data and whose
# index has gone backwards, so that the awaited one never comes.
_POLL_SECONDS = 5.0
# Several changes at once, as in a restart, are read as one.
_SETTLE_SECONDS = 0.02
# Pause after an answer that is none, so that a broken proxy is not asked without pause.
_BROKEN_ANSWER_SECONDS = 0.5

_LAST_WILL = Path(__file__).with_name("last_will.py")

# It reports every failed request as an error of its own; what that means is ours to say.
logging.getLogger("etcd").setLevel(logging.CRITICAL)

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class EtcdV2:
    """A Registry on etcd's v2 keys. With several etcd members, a call that one does not answer goes to the next."""

    def __init__(self, settings: Settings) -> None:
        options: dict[str, Any] = {"read_timeout": _REQUEST_SECONDS, "allow_redirect": False, "per_host_pool_size": 32}
        if settings.etcd_ca:
            options |= {"protocol": "https", "ca_cert": str(settings.etcd_ca)}
        if settings.etcd_certificate:
            options |= {"protocol": "https", "cert": (str(settings.etcd_certificate), str(settings.etcd_key))}
        if settings.etcd_username and settings.etcd_password:
            options |= {"username": settings.etcd_username, "password": settings.etcd_password.get_secret_value()}
        self._members = [etcd.Client(host=host, port=port, **options) for host, port in settings.etcd_hosts]
        for member in self._members:
            # By itself urllib3 tries again three times, which would make every bound here four times as long.
            member.http.connection_pool_kw["retries"] = False
        self._present = random.randrange(len(self._members))
        self._settings = settings
        self._swept = 0.0
        self._will: subprocess.Popen[bytes] | None = None
        self._leaving_will = asyncio.Lock()
        self._left_standing: set[str] = set()

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry. The directory comes into being with the entry, so that nobody ever sees it empty."""
        # The will first: we may die in the very moment in which the entry is there.
        async with self._leaving_will:
            if self._will is None:
                self._will = await _in_daemon_thread(partial(_leave_will, self._settings))
        self._left_standing.add(key(service, instance))
        await self._call(lambda member: member.write(key(service, instance), address, ttl=math.ceil(ttl)))

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry."""

        def refresh(member: Any) -> bool:
            try:
                member.refresh(key(service, instance), math.ceil(ttl), prevValue=address)
            except (etcd.EtcdKeyNotFound, etcd.EtcdCompareFailed, etcd.EtcdNotFile):
                return False
            return True

        renewed = await self._call(refresh)
        if time.monotonic() - self._swept > ttl / 3:
            self._swept = time.monotonic()
            with suppress(RegistryUnavailable):  # the entry is renewed all the same
                await self.sweep()
        return renewed

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""

        def remove(member: Any) -> None:
            try:
                member.delete(key(service, instance), prevValue=address)
            except (etcd.EtcdKeyNotFound, etcd.EtcdCompareFailed, etcd.EtcdNotFile):
                return  # gone already, or taken by a successor
            _remove_if_empty(member, directory(service))

        await self._call(remove)
        self._left_standing.discard(key(service, instance))

    async def list(self, service: str) -> Instances:
        """See Registry."""
        instances, _ = await self._call(partial(_read, service=service))
        return instances

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        while True:
            instances, index = await self._call(partial(_read, service=service))
            yield instances
            await self._call(partial(_await_change, service=service, index=index))
            await asyncio.sleep(_SETTLE_SECONDS)

    async def sweep(self) -> None:
        """Remove the empty directories of services. etcd itself refuses where an entry has come meanwhile."""

        def sweep(member: Any) -> None:
            try:
                tree = member.read(ROOT, recursive=True, quorum=True)
            except (etcd.EtcdKeyNotFound, etcd.EtcdInsufficientPermissions):
                return
            # The library offers the leaves only, among which an empty directory looks like a key.
            for child in tree._children:
                if child.get("dir") and not child.get("nodes"):
                    _remove_if_empty(member, child["key"])

        await self._call(sweep)

    async def close(self) -> None:
        """See Registry. Connections close with the client objects; threads are daemons. The will holds for entries that could not be withdrawn."""
        if self._will and self._will.stdin:
            if not self._left_standing:
                self._will.stdin.write(b"nothing is left\n")
            self._will.stdin.close()
            self._will = None

    async def _call(self, work: Callable[[Any], Result]) -> Result:
        """Run `work` on a member of etcd, on the next one where it does not answer, each once."""
        failure: Exception | None = None
        for _ in self._members:
            chosen = self._present
            member = self._members[chosen]
            try:
                return await _in_daemon_thread(partial(work, member))
            except (etcd.EtcdException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                # The last four are what the library makes of an answer that is not etcd's.
                failure = error
                if self._present == chosen:  # else another call has moved on already
                    self._present = (chosen + 1) % len(self._members)
        addresses = ",".join(f"{host}:{port}" for host, port in self._settings.etcd_hosts)
        raise RegistryUnavailable(f"etcd at {addresses} gives no answer: {failure}") from failure


def _remove_if_empty(member: Any, path: str) -> None:
    try:
        member.delete(path, dir=True)
    except (etcd.EtcdKeyNotFound, etcd.EtcdDirNotEmpty):
        pass  # gone already, or other instances are left
    except etcd.EtcdInsufficientPermissions:
        pass  # our user may write entries only; somebody else's has to do it


def _read(member: Any, service: str) -> tuple[Instances, int]:
    """The instances of a service, and the index of etcd's state in which they were read. By quorum: a member cut off from the others would answer with old ones."""
    try:
        found = member.read(directory(service), quorum=True)
    except etcd.EtcdKeyNotFound as missing:
        return {}, int(missing.payload.get("index") or 0)
    children = [child for child in found.children if not child.dir]
    return {child.key.rpartition("/")[2]: child.value for child in children}, found.etcd_index


def _await_change(member: Any, service: str, index: int) -> None:
    """Return after the next change behind `index`, or when it is time to look anew anyway."""
    try:
        member.watch(directory(service), index=index + 1, timeout=_POLL_SECONDS, recursive=True)
    except (etcd.EtcdWatchTimedOut, etcd.EtcdEventIndexCleared, etcd.EtcdWatcherCleared):
        pass
    except etcd.EtcdException as error:
        if type(error) is not etcd.EtcdException:
            raise
        # An answer without a body, or with another's: all that it tells is to look anew.
        time.sleep(_BROKEN_ANSWER_SECONDS)


def _leave_will(settings: Settings) -> "subprocess.Popen[bytes]":
    """Start the process that outlives us; see last_will.py. A shell waits in it, which takes next to no memory."""
    said: dict[str, object] = {
        "etcd": ",".join(f"{host}:{port}" for host, port in settings.etcd_hosts),
        "etcd_username": settings.etcd_username,
        "etcd_password": settings.etcd_password.get_secret_value() if settings.etcd_password else None,
        "etcd_ca": settings.etcd_ca,
        "etcd_certificate": settings.etcd_certificate,
        "etcd_key": settings.etcd_key,
        "ttl": settings.ttl,
    }
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _ || exec "$0" -I -S "$1"', sys.executable, str(_LAST_WILL)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={PREFIX + name.upper(): str(value) for name, value in said.items() if value is not None},
        start_new_session=True,
    )


async def _in_daemon_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work in a daemon thread and await its result; when the awaiting task is cancelled, the thread is left to end by itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | None, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]  # None only where Result is None
            else:
                future.set_exception(error)

    def run() -> None:
        try:
            outcome: tuple[Result | None, BaseException | None] = (work(), None)
        except BaseException as error:  # handed to the awaiting task, whatever it is
            outcome = (None, error)
        try:
            loop.call_soon_threadsafe(finish, *outcome)
        except RuntimeError:
            pass  # the loop has closed while the long poll lasted: nobody waits any more

    threading.Thread(target=run, name="etcd", daemon=True).start()
    return await future
