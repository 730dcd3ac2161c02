"""The instances of one service: which of them a call goes to, and which are left for a while."""

import asyncio
import random
import time
from collections.abc import Callable, Collection

from grpc import aio

from client.budget import Budget
from client.endpoint import Endpoint, Health

_LOOK_SECONDS = 0.1
# Calls that nobody answers for so long make us ask the instance whether it lives; the answer has 0.3 s.
_SILENT_SECONDS = 0.2
# When our own process was held up for so long, silence says nothing about the others.
_OWN_DELAY_SECONDS = 0.1


class Pool:
    """The instances of one service."""

    def __init__(
        self,
        full_name: str,
        open_channel: Callable[[str], aio.Channel],
        missed: Callable[[], None],
        listed: Callable[[], bool],
    ) -> None:
        """`missed` is called when an instance turns out to be away, so that the list may be looked at anew; `listed` tells whether there was one."""
        self.endpoints: dict[str, Endpoint] = {}
        self.budget = Budget()
        self._full_name, self._open_channel, self._missed, self._listed = full_name, open_channel, missed, listed
        self._ready: list[Endpoint] = []
        self._change = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()
        self._asked: dict[Endpoint, asyncio.Task[None]] = {}
        self._held_up = 0.0
        self._looking = asyncio.create_task(self._look(), name=f"look after {full_name}")

    def set(self, addresses: Collection[str]) -> None:
        """The addresses that are advertised now. One that is gone gets no new calls; those under way finish."""
        for address in [known for known in self.endpoints if known not in addresses]:
            task = asyncio.create_task(self.endpoints.pop(address).retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        for address in addresses:
            if address not in self.endpoints:
                self.endpoints[address] = Endpoint(address, self._full_name, self._open_channel, self._refresh)
        self._refresh()

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
        """Return when something has changed in what can be chosen, or the time is over."""
        self._missed()
        try:
            async with asyncio.timeout(timeout):
                await self._change.wait()
        except TimeoutError:
            pass

    def judge(self, endpoint: Endpoint) -> None:
        """After a failed call: leave the instance if it keeps failing."""
        if endpoint.failing and not endpoint.left:
            self._leave(endpoint, "failing")

    async def close(self) -> None:
        """Close all channels; calls under way are cut off."""
        self._looking.cancel()
        for task in [*self._retiring, *self._asked.values()]:
            task.cancel()
        await asyncio.gather(*(endpoint.close() for endpoint in self.endpoints.values()))

    @property
    def name(self) -> str:
        """The service's name in the registry."""
        return self._full_name.rpartition(".")[2]

    def describe(self) -> str:
        """For people: what is known of the instances."""
        if not self.endpoints:
            return "none is known" if self._listed() else "the registry gives no answer"
        return ", ".join(
            f"{endpoint.address} is {endpoint.left or endpoint.health.value}" for endpoint in self.endpoints.values()
        )

    def _refresh(self) -> None:
        """Work out anew which instances may be chosen."""
        known = list(self.endpoints.values())
        serving = [endpoint for endpoint in known if endpoint.health is Health.SERVING]
        self._ready = (
            [endpoint for endpoint in serving if not endpoint.left]
            or [endpoint for endpoint in serving if endpoint.left == "failing"]
            # All say that they cannot serve: one of them shall tell the caller why.
            or [
                endpoint
                for endpoint in known
                if endpoint.health is Health.NOT_SERVING and all(each.health is Health.NOT_SERVING for each in known)
            ]
        )
        if any(endpoint.health is Health.AWAY for endpoint in known):
            self._missed()
        self._change.set()
        self._change = asyncio.Event()

    def _leave(self, endpoint: Endpoint, why: str) -> None:
        """Send no calls to it for a while; never to more than half of the instances."""
        if 2 * (1 + sum(1 for each in self.endpoints.values() if each.left)) <= len(self.endpoints):
            endpoint.leave(why, self.budget.take)

    async def _look(self) -> None:
        """Ask instances that let calls wait whether they live."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
            if time.monotonic() - before > _LOOK_SECONDS + _OWN_DELAY_SECONDS:
                self._held_up = time.monotonic()
            for endpoint in self.endpoints.values():
                if not endpoint.left and endpoint not in self._asked and endpoint.silent_seconds() > _SILENT_SECONDS:
                    self._asked[endpoint] = asyncio.create_task(self._ask(endpoint), name=f"ask {endpoint.address}")

    async def _ask(self, endpoint: Endpoint) -> None:
        began = time.monotonic()
        try:
            if not await endpoint.answers() and self._held_up < began and not endpoint.left:
                self._leave(endpoint, "hung")
        finally:
            del self._asked[endpoint]
