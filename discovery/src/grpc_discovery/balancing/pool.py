"""The instances of one service: which of them a call goes to, which are ejected for a while, and which of very many are taken at all."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection

from grpc import aio

from grpc_discovery.balancing.endpoint import Ejection, Endpoint, Health
from grpc_discovery.balancing.retry import RetryBudget
from grpc_discovery.balancing.subset import rank
from grpc_discovery.tasks import cancel_and_wait, keep_running

_LOOK_SECONDS = 0.1
# Calls that nobody answers for so long make us ask the instance whether it lives; the answer has 0.3 s.
_SILENT_SECONDS = 0.2
# When our own process was held up for so long, silence says nothing about the others.
_OWN_DELAY_SECONDS = 0.1
# An instance beyond those that a subset keeps, and that fails, is not tried again for so long.
_PASSED_OVER_SECONDS = 10.0
_MAX_DOUBLINGS = 4

_log = logging.getLogger(__name__)


class Pool:
    """The instances of one service."""

    def __init__(
        self,
        name: str,
        service: str,
        open_channel: Callable[[str], aio.Channel],
        *,
        caller: str,
        max_endpoints: int,
        on_unreachable: Callable[[], None],
        explain_empty: Callable[[], str],
    ) -> None:
        """`name` is the service's in the registry, `service` that under which its health is asked for, `caller` what chooses the subset.

        `on_unreachable` is called when an instance turns out to be away, so that the list may be looked at anew; `explain_empty` tells why
        there is no instance.
        """
        self.name = name
        self.endpoints: dict[str, Endpoint] = {}
        self.budget = RetryBudget()
        self._service, self._open_channel = service, open_channel
        self._caller, self._max_endpoints = caller, max_endpoints
        self._on_unreachable, self._explain_empty = on_unreachable, explain_empty
        self._ranked: list[str] = []
        self._passed_over: dict[str, float] = {}
        self._served_at = time.monotonic()
        self._ready: list[Endpoint] = []
        self._change = asyncio.Event()
        self._retiring: dict[asyncio.Task[None], Endpoint] = {}
        self._probes: dict[Endpoint, asyncio.Task[None]] = {}
        self._held_up_at = 0.0
        self.is_closed = False
        self._looking = asyncio.create_task(
            keep_running(f"looking after {name}", self._look), name=f"look after {name}"
        )

    def set_addresses(self, addresses: Collection[str]) -> None:
        """The addresses that are advertised now, `host:port`. One that is gone gets no new calls; those under way finish."""
        self._ranked = rank(self._caller, set(addresses))
        self._passed_over = {each: until for each, until in self._passed_over.items() if each in addresses}
        self._apply()

    def choose(self, tried: Collection[Endpoint]) -> Endpoint | None:
        """The less busy of two instances at random, rather one that was not tried; None when there is none."""
        ready = self._ready
        if tried:
            ready = [endpoint for endpoint in ready if endpoint not in tried] or ready
        if not ready:
            return None
        if len(ready) == 1:
            return ready[0]
        first = int(random.random() * len(ready))
        second = int(random.random() * (len(ready) - 1))
        one, other = ready[first], ready[second if second < first else second + 1]
        return one if one.calls <= other.calls else other

    async def wait_for_change(self, timeout: float) -> None:
        """Return when something has changed in what can be chosen, or after `timeout` seconds."""
        self._on_unreachable()
        try:
            async with asyncio.timeout(timeout):
                await self._change.wait()
        except TimeoutError:
            pass

    def review(self, endpoint: Endpoint) -> None:
        """After a failed call: eject the instance if it keeps failing."""
        if endpoint.is_failing and not endpoint.ejected:
            self._eject(endpoint, Ejection.FAILING)

    async def close(self) -> None:
        """Close all channels, also those of instances that have left; calls under way are cut off."""
        self.is_closed = True
        leaving = list(self._retiring.values())
        await cancel_and_wait([self._looking, *self._retiring, *self._probes.values()])
        await asyncio.gather(*(endpoint.close() for endpoint in [*self.endpoints.values(), *leaving]))
        self._ready = []
        self._change.set()

    @property
    def is_serving(self) -> bool:
        """Whether an instance says that it serves."""
        return any(endpoint.health is Health.SERVING for endpoint in self.endpoints.values())

    def describe(self) -> str:
        """For people: what is known of the instances."""
        if not self.endpoints:
            return self._explain_empty()
        states = [f"{each.address} is {(each.ejected or each.health).value}" for each in self.endpoints.values()]
        return ", ".join([*states[:5], *([f"and {len(states) - 5} more"] if len(states) > 5 else [])])

    def _apply(self) -> None:
        """Work out anew which instances are connected to, and which of them may be chosen."""
        if self.is_closed:
            return
        wanted = self._wanted()
        for address in [known for known in self.endpoints if known not in wanted]:
            endpoint = self.endpoints.pop(address)
            task = asyncio.create_task(endpoint.retire(), name=f"retire {address}")
            self._retiring[task] = endpoint
            task.add_done_callback(self._retiring.pop)
        for address in wanted:
            if address not in self.endpoints:
                self.endpoints[address] = Endpoint(address, self._service, self._open_channel, self._apply)
        self._ready = self._choosable()
        if any(endpoint.health is Health.AWAY for endpoint in self.endpoints.values()):
            self._on_unreachable()
        self._change.set()
        self._change = asyncio.Event()

    def _wanted(self) -> set[str]:
        """Which of the listed are connected to: the subset, the best in rank, and for each of it that fails the next in rank beside it.

        Failing ones are kept, so that they can return, but no more of them than a subset has: further ones are let go and passed over for a
        while. So two live instances are found among a thousand dead entries, and nobody holds a thousand connections.
        """
        if len(self._ranked) <= self._max_endpoints:
            return set(self._ranked)
        now = time.monotonic()
        limit = self._limit(now)
        wanted: set[str] = set()
        usable = failing = 0
        for address in self._ranked:
            if usable >= limit:
                break
            endpoint = self.endpoints.get(address)
            if endpoint is None and self._passed_over.get(address, 0.0) > now:
                continue
            if endpoint is None or endpoint.is_usable:
                usable += 1
            elif failing < self._max_endpoints:
                failing += 1
            else:
                self._passed_over[address] = now + _PASSED_OVER_SECONDS
                continue
            wanted.add(address)
        return wanted

    def _limit(self, now: float) -> int:
        """How many instances the subset has: twice as many for each second in which none of them was serving."""
        if self.is_serving:
            self._served_at = now
        return self._max_endpoints << min(int(now - self._served_at), _MAX_DOUBLINGS)

    def _choosable(self) -> list[Endpoint]:
        known = list(self.endpoints.values())
        serving = [endpoint for endpoint in known if endpoint.health is Health.SERVING]
        return (
            [endpoint for endpoint in serving if not endpoint.ejected]
            or [endpoint for endpoint in serving if endpoint.ejected is Ejection.FAILING]
            # All say that they cannot serve: one of them shall tell the caller why.
            or (known if all(endpoint.health is Health.NOT_SERVING for endpoint in known) else [])
        )

    def _eject(self, endpoint: Endpoint, reason: Ejection) -> None:
        """Send no calls to it for a while; never to more than half of the instances."""
        ejected = sum(1 for each in self.endpoints.values() if each.ejected)
        if 2 * (1 + ejected) <= len(self.endpoints):
            endpoint.eject(reason, self.budget.take)

    async def _look(self) -> None:
        """Probe instances that let calls wait, and notice those that do not connect."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            if time.monotonic() - before > _LOOK_SECONDS + _OWN_DELAY_SECONDS:
                self._held_up_at = time.monotonic()
            for endpoint in list(self.endpoints.values()):
                endpoint.check_connection()
                if (
                    not endpoint.ejected
                    and endpoint not in self._probes
                    and endpoint.silent_seconds() > _SILENT_SECONDS
                ):
                    probe = asyncio.create_task(self._probe(endpoint), name=f"probe {endpoint.address}")
                    self._probes[endpoint] = probe
            if len(self._ranked) > len(self.endpoints) and not self.is_serving:
                self._apply()

    async def _probe(self, endpoint: Endpoint) -> None:
        """Ask a silent instance whether it lives, and eject it if it does not answer."""
        began = time.monotonic()
        try:
            if not await endpoint.answers() and self._held_up_at < began and not endpoint.ejected:
                self._eject(endpoint, Ejection.HUNG)
        except Exception:
            _log.exception("probing %s failed", endpoint.address)
        finally:
            del self._probes[endpoint]
