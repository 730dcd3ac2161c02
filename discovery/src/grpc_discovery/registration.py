"""Keeping one instance's entry in the registry: a loop over the states of `State`.

Bounds (promises 2 to 8) follow from the waits below. Jitter keeps a hundred instances, which lose or regain the same etcd or the same
database in the same second, from all coming at once.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Self

from grpc_discovery import tallies
from grpc_discovery.addresses import check_instance_name, check_service_name, parse_dialable, printable
from grpc_discovery.loop_thread import LoopThread
from grpc_discovery.registry.factory import OpeningRegistry
from grpc_discovery.registry.interface import Registry, RegistryUnavailable
from grpc_discovery.settings import Settings
from grpc_discovery.tasks import cancel_and_wait

# How long a lost entry waits before the next try: between these, so that all are back within 5 s of etcd's return.
_RETRY_SECONDS = (0.3, 2.0)
# An instance that lost its database leaves, and one that regained it returns, at a random time within this.
_SPREAD_SECONDS = 2.0
# How long leaving for good may take before it is left to the TTL.
_WITHDRAW_SECONDS = 2.0
# How long a start waits for a registry that is being opened, before it goes on without.
_OPEN_SECONDS = 0.5
# Reasons of a lost entry that are remembered, so that each is logged once.
_MAX_TOLD = 100

_log = logging.getLogger(__name__)


class State(Enum):
    """Where an advertised instance stands."""

    WAITING = "waiting"  # not advertised, because the instance cannot serve yet or again
    ADVERTISED = "advertised"  # the entry is there and renewed every third of its TTL
    LOST = "lost"  # it should be there and may not be: the registry is away, or the entry is gone or another's
    WITHDRAWN = "withdrawn"  # removed for good; the process is stopping


class Registration:
    """Advertises one instance of one service for as long as it can serve.

    A process that forks after start() is not supported: the child has the entry's name but not the loop that renews it, and gRPC's own
    threads do not run there. Fork first, then register in each child.
    """

    def __init__(self, registry: Registry, name: str, instance: str, address: str, ttl: float) -> None:
        """`name` in the registry, `address` as `host:port`, `ttl` in seconds. Raises ValueError for names or addresses that cannot be any."""
        self.state, self._since = State.WAITING, time.monotonic()
        self.name, self.instance = check_service_name(name), check_instance_name(instance)
        self.address = str(parse_dialable(address))
        self._task: asyncio.Task[None] | None = None
        self._registry, self._ttl = registry, ttl
        self._entry, self._path = (name, instance, self.address), f"{name}/{instance}"
        self._serving = False
        self._changed, self._leaving = asyncio.Event(), asyncio.Event()
        # Whether an entry of ours may stand in the registry: set before it is written, since a write that was not answered may have been done.
        self._written = False
        self._ever_advertised = False
        # What was logged since the entry was lost: each reason once.
        self._told: set[str] = set()
        tallies.LIVING.add(self)

    @property
    def age(self) -> float:
        """For how many seconds it has been in its state."""
        return time.monotonic() - self._since

    def set_serving(self, serving: bool) -> None:
        """Tell whether the instance can serve; the loop acts on a change soon."""
        self._serving = serving
        self._changed.set()

    def start(self) -> asyncio.Task[None]:
        """Begin the loop, and return its task, which ends by withdraw() alone."""
        self._task = asyncio.create_task(self._run(), name=f"advertise {self.name}")
        return self._task

    async def withdraw(self) -> None:
        """Leave the registry for good. Tries for two seconds; after that the TTL removes the entry. A second call does nothing."""
        if self.state is State.WITHDRAWN:
            return
        self._leaving.set()
        self._changed.set()
        try:
            async with asyncio.timeout(_WITHDRAW_SECONDS):
                if self._task:
                    # A step under way is let finish: a write that lands after our deletion would stand there for a TTL.
                    await asyncio.wait([self._task])
                if self._written:
                    await self._registry.withdraw(*self._entry)
                    _log.info("withdrawn: %s", self._path)
        except (RegistryUnavailable, TimeoutError) as error:
            reason = str(error) or "no answer"
            _log.warning("could not withdraw %s, its entry expires within %g s: %s", self._path, self._ttl, reason)
        except Exception:
            # A fault of ours, which must not keep the process from stopping in order.
            _log.exception("withdrawing %s failed", self._path)
        finally:
            self._become(State.WITHDRAWN)
            await cancel_and_wait([self._task])

    async def _run(self) -> None:
        while not self._leaving.is_set():
            served = self._serving
            pause = await self._step(served)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    while self._serving == served and not self._leaving.is_set():
                        await self._changed.wait()
                        self._changed.clear()
                    if self._ever_advertised:
                        # So that not all instances act at the same time.
                        await asyncio.wait_for(self._leaving.wait(), random.uniform(0, _SPREAD_SECONDS))

    async def _step(self, serving: bool) -> float | None:
        """Bring the registry to what it should hold; returns the seconds until the next look, None for no need of one."""
        try:
            if serving:
                await self._advertise()
                return self._ttl / 3 * random.uniform(0.9, 1.0)
            if self._written:
                await self._registry.withdraw(*self._entry)
                self._written = False
                _log.info("withdrawn until it can serve again: %s", self._path)
            self._become(State.WAITING)
            return None
        except RegistryUnavailable as error:
            self._lost(str(error))
        except Exception:
            # A fault of ours: it must be seen, and must not end the loop, which nobody would start again.
            _log.exception("advertising %s failed", self._path)
            self._lost("an unforeseen error")
        return random.uniform(*_RETRY_SECONDS)

    async def _advertise(self) -> None:
        # After an outage the entry may well be there still: renewing it asks less of etcd and wakes no watcher.
        if not (self._written and await self._registry.renew(*self._entry, self._ttl)):
            if self._written:
                holder = (await self._registry.list(self.name)).get(self.instance)
                if holder and holder != self.address:
                    # Another sits in our slot (same instance name, another address). Two that overwrite each other would help nobody.
                    self._lost(f"the entry now holds {printable(holder)}")
                    return
                if self.state is State.ADVERTISED:
                    self._lost("the entry is gone")
            self._written = True
            await self._registry.advertise(*self._entry, self._ttl)
        if self.state is not State.ADVERTISED:
            _log.info("advertised as %s at %s", self._path, self.address)
        self._ever_advertised = True
        self._become(State.ADVERTISED)
        self._told.clear()

    def _lost(self, reason: str) -> None:
        tallies.REGISTRATION_FAILURES[self.name] += 1
        if reason not in self._told:
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()  # told again then, which does less harm than memory that grows
            self._told.add(reason)
            what = "no longer advertised" if self._ever_advertised else "not advertised yet"
            _log.warning("%s: %s: %s", what, self._path, reason)
        self._become(State.LOST)

    def _become(self, state: State) -> None:
        if state is not self.state:
            self.state, self._since = state, time.monotonic()


@asynccontextmanager
async def registration(
    name: str, address: str, settings: Settings, *, registry: Registry | None = None, serving: bool = True
) -> AsyncIterator[Registration]:
    """Advertise a server of one's own for as long as an `async with` lasts.

    `name` is the full or the short name of the service. The instance is named as the settings say, else by its address. Without `registry`
    the one of the settings is opened in the background: while it is away the block runs all the same, and the log tells what is waited for.
    With serving=False nothing is advertised until set_serving(True). At the end the entry is removed, and callers are given
    settings.advertise.withdraw_wait seconds to see it: refuse new calls only after the block.

    Raises ValueError for a name or an address that cannot be one. For processes that fork, see Registration.
    """
    opened = registry or OpeningRegistry(settings.registry)
    try:
        advertise = settings.advertise
        instance = advertise.instance or address
        kept = Registration(opened, settings.registry.name_of(name), instance, address, advertise.ttl)
        kept.set_serving(serving)
        if isinstance(opened, OpeningRegistry):
            # Most are open within some milliseconds: nothing to warn of.
            with suppress(TimeoutError):
                await asyncio.wait_for(opened.wait_open(), _OPEN_SECONDS)
        kept.start()
        try:
            yield kept
        finally:
            was_advertised = kept.state is State.ADVERTISED
            await kept.withdraw()
            if was_advertised:
                await asyncio.sleep(advertise.withdraw_wait)
    finally:
        if registry is None:
            await opened.close()


class BlockingRegistration:
    """The same for a program without asyncio: `with BlockingRegistration("web", "10.0.0.7:80", settings):`. It has a thread of its own.

    As with registration(), a registry that is away keeps nobody waiting. Fork before the block, not in it.
    """

    def __init__(self, name: str, address: str, settings: Settings, *, serving: bool = True) -> None:
        """See registration()."""
        self._name = name
        self._advertising = registration(name, address, settings, serving=serving)
        self._thread: LoopThread | None = None
        self._kept: Registration | None = None

    @property
    def state(self) -> State:
        """Where the instance stands."""
        return self._kept.state if self._kept else State.WAITING

    def set_serving(self, serving: bool) -> None:
        """Tell whether the instance can serve; from any thread, within the block."""
        if self._kept and self._thread:
            self._thread.loop.call_soon_threadsafe(self._kept.set_serving, serving)

    def __enter__(self) -> Self:
        """Advertise. Raises ValueError for a name or an address that cannot be one."""
        self._thread, self._kept = LoopThread.begun_with(f"advertise {self._name}", self._advertising.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        """Withdraw, and give callers the time to see it."""
        if self._thread:
            self._thread.end_with(lambda: self._advertising.__aexit__(None, None, None))
