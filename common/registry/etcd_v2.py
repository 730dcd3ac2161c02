"""etcd's v2 keys, which existing clients read: /killrvideo/services/<ServiceName>/<instance> = host:port.

python-etcd is a blocking library, so each call runs in a thread of its own kind: daemon threads, because a long poll cannot be
interrupted and must not hold up the end of the process.

A service's directory has a TTL too, renewed with each entry: when the last instance dies without a word, the directory goes with its
key. Existing clients fail on an empty directory.
"""

import asyncio
import logging
import math
import random
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import etcd

from common.registry.interface import Instances, RegistryUnavailable
from common.settings import Settings

ROOT = "/killrvideo/services"

_REQUEST_SECONDS = 2.0
# A watch that hears nothing for so long asks anew: behind it may be a half-open connection, or an etcd that lost its data and whose
# index has gone backwards, so that the awaited one never comes.
_POLL_SECONDS = 5.0
# Several changes at once, as in a restart, are read as one.
_SETTLE_SECONDS = 0.02

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
        self._present = random.randrange(len(self._members))

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """See Registry."""
        await self._renew_directory(service, ttl)
        await self._call(lambda member: member.write(_key(service, instance), address, ttl=math.ceil(ttl)))

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """See Registry. The entry is renewed before its directory, which therefore outlives it."""

        def refresh(member: Any) -> bool:
            try:
                member.refresh(_key(service, instance), math.ceil(ttl), prevValue=address)
            except (etcd.EtcdKeyNotFound, etcd.EtcdCompareFailed):
                return False
            return True

        renewed = await self._call(refresh)
        if renewed:
            await self._renew_directory(service, ttl)
        return renewed

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """See Registry."""

        def remove(member: Any) -> None:
            try:
                member.delete(_key(service, instance), prevValue=address)
                member.delete(_key(service), dir=True)
            except (etcd.EtcdKeyNotFound, etcd.EtcdCompareFailed, etcd.EtcdDirNotEmpty):
                pass  # gone already, taken by a successor, or other instances are left: each is as it should be

        await self._call(remove)

    async def list(self, service: str) -> Instances:
        """See Registry."""
        instances, _ = await self._call(lambda member: _read(member, service))
        return instances

    async def watch(self, service: str) -> AsyncIterator[Instances]:
        """See Registry."""
        while True:
            instances, index = await self._call(lambda member: _read(member, service))
            yield instances
            await self._call(lambda member, index=index: _await_change(member, service, index))
            await asyncio.sleep(_SETTLE_SECONDS)

    async def close(self) -> None:
        """See Registry. Connections close with the client objects; threads are daemons."""
        self._members.clear()

    async def _renew_directory(self, service: str, ttl: float) -> None:
        def renew(member: Any) -> None:
            try:
                member.write(_key(service), None, ttl=math.ceil(ttl), dir=True, prevExist=True, refresh=True)
            except etcd.EtcdKeyNotFound:
                try:
                    member.write(_key(service), None, ttl=math.ceil(ttl), dir=True, prevExist=False)
                except etcd.EtcdAlreadyExist:
                    pass  # another instance of the service was faster

        await self._call(renew)

    async def _call(self, work: Callable[[Any], Result]) -> Result:
        """Run `work` on a member of etcd, on the next one where it does not answer, each once."""
        failure: Exception | None = None
        for _ in range(len(self._members)):
            try:
                return await _in_daemon_thread(lambda: work(self._members[self._present]))
            except (etcd.EtcdException, OSError) as error:
                failure = error
                self._present = (self._present + 1) % max(len(self._members), 1)
        raise RegistryUnavailable(f"etcd does not answer: {failure}") from failure


def _key(service: str, instance: str = "") -> str:
    return f"{ROOT}/{service}/{instance}" if instance else f"{ROOT}/{service}"


def _read(member: Any, service: str) -> tuple[Instances, int]:
    """The instances of a service, and the index of etcd's state in which they were read."""
    try:
        directory = member.read(_key(service))
    except etcd.EtcdKeyNotFound as missing:
        return {}, int(missing.payload.get("index") or 0)
    children = [child for child in directory.children if not child.dir]
    return {child.key.rpartition("/")[2]: child.value for child in children}, directory.etcd_index


def _await_change(member: Any, service: str, index: int) -> None:
    """Return after the next change behind `index`, or when it is time to look anew anyway."""
    try:
        member.watch(_key(service), index=index + 1, timeout=_POLL_SECONDS, recursive=True)
    except (etcd.EtcdWatchTimedOut, etcd.EtcdEventIndexCleared):
        pass


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
