"""The instances of one service: which of them a call goes to, which are ejected for a while, and which of very many are taken at all."""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from hashlib import blake2b

from grpc import aio

from grpc_discovery import tallies
from grpc_discovery.balancing.endpoint import Ejection, Endpoint, Health
from grpc_discovery.balancing.resolver import Resolver
from grpc_discovery.tasks import cancel_and_wait, keep_running

_log = logging.getLogger(__name__)


class RetryBudget:
    """One repetition for every ten calls, with a reserve of ten, so that repeating never makes an overload worse."""

    def __init__(self) -> None:
        self._left = 10.0

    def count_call(self) -> None:
        """A new call pays in its tenth."""
        self._left = min(self._left + 0.1, 100.0)

    def take(self) -> bool:
        """Whether one repetition is allowed; it is paid for then."""
        allowed = self._left >= 1
        self._left -= allowed
        return allowed


def rank(caller: str, addresses: Iterable[str]) -> list[str]:
    """The addresses as `caller` takes them, by rendezvous hashing: each caller in another order, which no other instance's coming or going changes."""
    key = blake2b(caller.encode(), digest_size=16).digest()
    return sorted(addresses, key=lambda address: blake2b(address.encode(), key=key, digest_size=8).digest())


class Pool:
    """The instances of one service, as a resolver lists them."""

    def __init__(
        self, resolver: Resolver, service: str, open_channel: Callable[[str], aio.Channel], max_endpoints: int
    ) -> None:
        """`service` is the name under which health is asked for; at most `max_endpoints` instances are connected to while all is well."""
        self.name, self.budget, self.is_closed = resolver.name, RetryBudget(), False
        self.endpoints: dict[str, Endpoint] = {}
        self._resolver, self._service, self._open_channel = resolver, service, open_channel
        self._caller, self._max_endpoints = uuid.uuid4().hex, max_endpoints
        self._ranked: list[str] = []
        self._passed_over: dict[str, float] = {}
        self._served_at = time.monotonic()
        self._ready: list[Endpoint] = []
        self._change = asyncio.Event()
        self._retiring: dict[asyncio.Task[None], Endpoint] = {}
        looking = keep_running(f"looking after {self.name}", self._look)
        self._looking = asyncio.create_task(looking, name=f"look after {self.name}")
        tallies.LIVING.add(self)
        resolver.listeners.add(self.set_addresses)
        self.set_addresses(resolver.instances.values())

    def set_addresses(self, addresses: Collection[str]) -> None:
        """The addresses that are advertised now, `host:port`. One that is gone gets no new calls; those under way finish."""
        self._ranked = rank(self._caller, set(addresses))
        self._passed_over = {}
        self._apply()

    def choose(self, tried: Collection[Endpoint]) -> Endpoint | None:
        """The less busy of two instances at random, rather one that was not tried; None when there is none."""
        ready = self._ready
        if tried:
            ready = [endpoint for endpoint in ready if endpoint not in tried] or ready
        if len(ready) < 2:
            return ready[0] if ready else None
        first = int(random.random() * len(ready))
        second = int(random.random() * (len(ready) - 1))
        one, other = ready[first], ready[second if second < first else second + 1]
        return one if one.calls <= other.calls else other

    async def wait_for_change(self, timeout: float) -> None:
        """Return when something has changed in what can be chosen, or after `timeout` seconds."""
        self._resolver.refresh_soon()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._change.wait(), timeout)

    def eject(self, endpoint: Endpoint, reason: Ejection) -> None:
        """Send no calls to it for a while; never to more than half of the instances."""
        ejected = sum(each.ejected is not None for each in self.endpoints.values())
        if not endpoint.ejected and 2 * (1 + ejected) <= len(self.endpoints):
            tallies.EJECTIONS[self.name, reason.value] += 1
            endpoint.eject(reason, self.budget.take)

    async def close(self) -> None:
        """Close all channels, also those of instances that have left; calls under way are cut off."""
        self.is_closed = True
        tallies.LIVING.discard(self)
        self._resolver.listeners.discard(self.set_addresses)
        leaving = list(self._retiring.values())
        await cancel_and_wait([self._looking, *self._retiring])
        await asyncio.gather(*(endpoint.close() for endpoint in [*self.endpoints.values(), *leaving]))
        self._change.set()

    @property
    def ready(self) -> int:
        """How many instances a call may go to now."""
        return len(self._ready)

    @property
    def is_serving(self) -> bool:
        """Whether an instance says that it serves."""
        return any(endpoint.health is Health.SERVING for endpoint in self.endpoints.values())

    def describe(self) -> str:
        """For people: what is known of the instances."""
        if not self.endpoints:
            return self._resolver.explain_empty()
        states = [f"{each.address} is {(each.ejected or each.health).value}" for each in self.endpoints.values()]
        return ", ".join(states[:5] + [f"and {len(states) - 5} more"] * (len(states) > 5))

    def _apply(self) -> None:
        """Work out again which instances are connected to, and which of them may be chosen."""
        if self.is_closed:
            return
        wanted = self._wanted()
        for address in self.endpoints.keys() - wanted:
            endpoint = self.endpoints.pop(address)
            task = asyncio.create_task(endpoint.retire(), name=f"retire {address}")
            self._retiring[task] = endpoint
            task.add_done_callback(self._retiring.pop)
        for address in wanted:
            if address not in self.endpoints:
                channel = self._open_channel(address)
                self.endpoints[address] = Endpoint(address, self._service, channel, self._apply)
        known = list(self.endpoints.values())
        serving = [endpoint for endpoint in known if endpoint.health is Health.SERVING]
        self._ready = [endpoint for endpoint in serving if not endpoint.ejected]
        self._ready = self._ready or [endpoint for endpoint in serving if endpoint.ejected is Ejection.FAILING]
        if all(endpoint.health is Health.NOT_SERVING for endpoint in known):
            self._ready = known  # one of them shall tell the caller why
        if any(endpoint.health is Health.AWAY for endpoint in known):
            self._resolver.refresh_soon()
        self._change.set()
        self._change = asyncio.Event()

    def _wanted(self) -> list[str]:
        """Which of the listed are connected to: the best in rank, and for each of them that fails the next in rank beside it."""
        # Two live instances are found among a thousand dead ones, without a thousand connections: of those that fail no more are kept than a subset
        # has, others are passed over for ten seconds, and the subset doubles, four times at most, with each second in which none was serving.
        now = time.monotonic()
        self._served_at = now if self.is_serving else self._served_at
        limit = self._max_endpoints << min(int(now - self._served_at), 4)
        usable: list[str] = []
        failing: list[str] = []
        for address in self._ranked:
            endpoint = self.endpoints.get(address)
            if len(usable) == limit:
                break
            if endpoint is None or endpoint.is_usable:
                if self._passed_over.get(address, 0.0) <= now:
                    usable.append(address)
            elif len(failing) < self._max_endpoints:
                failing.append(address)
            else:
                self._passed_over[address] = now + 10.0
        return usable + failing

    async def _look(self) -> None:
        """Each 0.1 s: eject instances that let calls wait and do not tell their health either; look for others where these do not serve."""
        while True:
            await asyncio.sleep(0.1)
            silent = [each for each in self.endpoints.values() if not each.ejected and each.silent_seconds() > 0.2]
            began = time.monotonic()
            answered = await asyncio.gather(*(each.answers() for each in silent), return_exceptions=True)
            # Where our own process was held up meanwhile, silence says nothing about the others.
            for endpoint, answers in zip(silent, answered, strict=True):
                if isinstance(answers, Exception):
                    _log.error("probing %s failed", endpoint.address, exc_info=answers)
                elif answers is False and time.monotonic() - began < 0.4:
                    self.eject(endpoint, Ejection.HUNG)
            is_settled = self.is_serving and all(each.health is not Health.UNKNOWN for each in self.endpoints.values())
            if len(self._ranked) > len(self.endpoints) and not is_settled:
                self._apply()
