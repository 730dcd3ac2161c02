"""Keeping one instance's place in the registry: a loop over four states.

    WAITING     not advertised, because the instance cannot serve yet or again
    ADVERTISED  the entry is there and renewed every third of its TTL
    LOST        it should be there and may not be: the registry is away, or the entry is gone or another's
    WITHDRAWN   removed for good; the process is stopping

Bounds (promises 2 to 8 of docs/advertising.md) follow from the waits below. Jitter keeps a hundred instances, which lose or regain the
same etcd or the same Cassandra in the same second, from all coming at once.
"""

import asyncio
import logging
import random
from enum import Enum

from common.registry.interface import Registry, RegistryUnavailable

# How long a lost entry waits before the next try: between these, so that all are back within 5 s of etcd's return.
_RETRY_SECONDS = (0.3, 2.0)
# An instance that lost its database leaves, and one that regained it returns, at some moment within this.
_SPREAD_SECONDS = 2.0
# How long leaving for good may take before it is left to the TTL.
_WITHDRAW_SECONDS = 2.0

_log = logging.getLogger(__name__)


class State(Enum):
    """Where an advertised instance stands."""

    WAITING = "waiting"
    ADVERTISED = "advertised"
    LOST = "lost"
    WITHDRAWN = "withdrawn"


class Advertiser:
    """Advertises one instance of one service for as long as it can serve."""

    def __init__(self, registry: Registry, service: str, instance: str, address: str, ttl: float) -> None:
        self.state = State.WAITING
        self.service, self.instance, self.address = service, instance, address
        self._registry, self._ttl = registry, ttl
        self._serving = False
        self._leaving = False
        self._changed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        # Whether an entry of ours may stand in the registry: set before it is written, since a write that was not answered may have been done.
        self._written = False
        self._ever_advertised = False

    def set_serving(self, serving: bool) -> None:
        """Tell whether the instance can serve; the loop acts on a change soon, at a moment of its own."""
        if serving != self._serving:
            self._serving = serving
            self._changed.set()

    def start(self) -> None:
        """Start the loop."""
        self._loop = asyncio.create_task(self._run(), name=f"advertise {self.service}")

    async def withdraw(self) -> None:
        """Leave the registry for good. Tries for two seconds; after that the TTL removes the entry."""
        self._leaving = True
        self._changed.set()
        try:
            async with asyncio.timeout(_WITHDRAW_SECONDS):
                if self._loop:
                    # A step under way is let finish: a write that lands after our deletion would stand there for a TTL.
                    await asyncio.wait([self._loop])
                if self._written:
                    await self._registry.withdraw(self.service, self.instance, self.address)
                    _log.info("withdrawn: %s/%s", self.service, self.instance)
        except (RegistryUnavailable, TimeoutError) as error:
            why = error if str(error) else "no answer"
            _log.warning(
                "could not withdraw %s/%s, its entry expires within %g s: %s",
                self.service,
                self.instance,
                self._ttl,
                why,
            )
        except Exception:
            # A fault of ours, which must not keep the process from stopping in order.
            _log.exception("withdrawing %s/%s failed", self.service, self.instance)
        finally:
            if self._loop:
                self._loop.cancel()
            self.state = State.WITHDRAWN

    async def _run(self) -> None:
        while not self._leaving:
            served = self._serving
            pause = await self._step(served)
            try:
                async with asyncio.timeout(pause):
                    while self._serving == served and not self._leaving:
                        await self._changed.wait()
                        self._changed.clear()
                    if self._ever_advertised and not self._leaving:
                        await self._spread()
            except TimeoutError:
                pass

    async def _spread(self) -> None:
        """A pause of random length after a change, so that not all instances act in the same moment; leaving ends it."""
        try:
            async with asyncio.timeout(random.uniform(0, _SPREAD_SECONDS)):
                while not self._leaving:
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            pass

    async def _step(self, serving: bool) -> float | None:
        """Bring the registry to what it should hold; returns the seconds until the next look, None for no need of one."""
        try:
            if not serving:
                if self._written:
                    await self._registry.withdraw(self.service, self.instance, self.address)
                    self._written = False
                    _log.info("withdrawn until it can serve again: %s/%s", self.service, self.instance)
                self.state = State.WAITING
                return None
            if self.state is State.ADVERTISED and await self._renewed():
                return self._until_renewal()
            if self.state is State.LOST and (taken_by := await self._successor()):
                # Another sits in our slot (same instance name, another address). Two that overwrite each other would help nobody.
                self._lost(f"the entry now holds {taken_by}")
                return self._until_renewal()
            self._written = True
            await self._registry.advertise(self.service, self.instance, self.address, self._ttl)
            _log.info("advertised as %s/%s at %s", self.service, self.instance, self.address)
            self.state, self._ever_advertised = State.ADVERTISED, True
            return self._until_renewal()
        except RegistryUnavailable as error:
            self._lost(str(error))
        except Exception:
            # A fault of ours: it must be seen, and must not end the loop, which nobody would start again.
            _log.exception("advertising %s/%s failed", self.service, self.instance)
            self._lost("an unforeseen error")
        return random.uniform(*_RETRY_SECONDS)

    async def _renewed(self) -> bool:
        if await self._registry.renew(self.service, self.instance, self.address, self._ttl):
            return True
        self._lost("the entry is gone")
        return False

    async def _successor(self) -> str | None:
        """The address of another instance that has taken our entry."""
        holds = (await self._registry.list(self.service)).get(self.instance)
        return holds if holds != self.address else None

    def _until_renewal(self) -> float:
        return self._ttl / 3 * random.uniform(0.9, 1.0)

    def _lost(self, why: str) -> None:
        if self.state is not State.LOST:
            _log.warning("no longer advertised: %s/%s: %s", self.service, self.instance, why)
        self.state = State.LOST
