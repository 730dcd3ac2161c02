"""The loop that keeps an instance's place, on a registry in memory that can be away, slow, or changed by others."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from discovery.tests.waiting import eventually
from grpc_discovery.registration import Registration, State
from grpc_discovery.registry.interface import Names, RegistryUnavailable

TTL = 1.0


class MemoryRegistry:
    """A Registry in a dict, without expiry."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.away = False
        self.broken = False
        self.slow = 0.0
        self.writes = 0

    async def _reached(self) -> None:
        await asyncio.sleep(self.slow)
        if self.away:
            raise RegistryUnavailable("the test has taken it away")
        if self.broken:
            raise RuntimeError("a fault that nobody foresaw")

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        await self._reached()
        self.writes += 1
        self.entries[instance] = address

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        await self._reached()
        return self.entries.get(instance) == address

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        await self._reached()
        if self.entries.get(instance) == address:
            del self.entries[instance]

    async def list(self, service: str) -> dict[str, str]:
        await self._reached()
        return dict(self.entries)

    async def watch(self, service: str) -> AsyncGenerator[dict[str, str]]:
        yield await self.list(service)

    async def names(self) -> Names:
        return ["Greeter"] if self.entries else []

    async def close(self) -> None: ...


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
async def kept(registry: MemoryRegistry) -> AsyncIterator[Registration]:
    made = Registration(registry, "Greeter", "slot", "h:1", TTL)
    yield made
    registry.away, registry.broken, registry.slow = False, False, 0.0
    await made.withdraw()


async def test_nothing_is_advertised_before_it_can_serve_and_then_at_once(
    registry: MemoryRegistry, kept: Registration
) -> None:
    kept.start()
    await asyncio.sleep(0.2)
    assert not registry.entries
    assert kept.state is State.WAITING
    kept.set_serving(True)
    assert await eventually(lambda: registry.entries == {"slot": "h:1"}, 2, "the entry") < 0.3


async def test_a_registry_that_is_away_is_tried_until_it_is_back(registry: MemoryRegistry, kept: Registration) -> None:
    registry.away = True
    kept.set_serving(True)
    kept.start()
    await eventually(lambda: kept.state is State.LOST, 2, "it notices")
    registry.away = False
    assert await eventually(lambda: bool(registry.entries), 5, "the entry") < 2.5


async def test_an_entry_that_somebody_deleted_is_back_within_a_renewal(
    registry: MemoryRegistry, kept: Registration
) -> None:
    kept.set_serving(True)
    kept.start()
    await eventually(lambda: bool(registry.entries), 2, "the entry")
    registry.entries.clear()
    assert await eventually(lambda: bool(registry.entries), 2, "the entry again") < TTL / 3 + 0.2


async def test_a_successor_keeps_the_slot_it_has_taken(registry: MemoryRegistry, kept: Registration) -> None:
    kept.set_serving(True)
    kept.start()
    await eventually(lambda: bool(registry.entries), 2, "the entry")
    registry.entries["slot"] = "h:9"
    await eventually(lambda: kept.state is State.LOST, 2, "it notices")
    await asyncio.sleep(TTL)
    assert registry.entries == {"slot": "h:9"}
    await kept.withdraw()
    assert registry.entries == {"slot": "h:9"}


async def test_it_takes_its_place_again_when_the_successor_is_gone(
    registry: MemoryRegistry, kept: Registration
) -> None:
    kept.set_serving(True)
    kept.start()
    await eventually(lambda: bool(registry.entries), 2, "the entry")
    registry.entries["slot"] = "h:9"
    await eventually(lambda: kept.state is State.LOST, 2, "it notices")
    registry.entries.clear()
    await eventually(lambda: registry.entries == {"slot": "h:1"}, 2, "its entry")


async def test_what_cannot_serve_leaves_and_returns(registry: MemoryRegistry, kept: Registration) -> None:
    kept.set_serving(True)
    kept.start()
    await eventually(lambda: bool(registry.entries), 2, "the entry")
    kept.set_serving(False)
    await eventually(lambda: not registry.entries, 3, "it leaves")
    kept.set_serving(True)
    await eventually(lambda: bool(registry.entries), 3, "it returns")


async def test_a_change_during_a_slow_step_is_not_lost(registry: MemoryRegistry, kept: Registration) -> None:
    registry.slow = 0.3
    kept.set_serving(True)
    kept.start()
    await asyncio.sleep(0.1)
    kept.set_serving(False)
    await eventually(lambda: registry.writes == 1, 2, "the step ends")
    await eventually(lambda: not registry.entries and kept.state is State.WAITING, 4, "it leaves")


async def test_many_instances_that_lose_their_database_together_do_not_leave_together(registry: MemoryRegistry) -> None:
    all_of_them = [Registration(registry, "Greeter", f"slot-{number}", f"h:{number + 1}", 30) for number in range(50)]
    for each in all_of_them:
        each.set_serving(True)
        each.start()
    await eventually(lambda: len(registry.entries) == 50, 3, "all are there")
    for each in all_of_them:
        each.set_serving(False)
    left: list[int] = []
    began = time.monotonic()
    while registry.entries:
        left.append(len(registry.entries))
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.1)
    biggest = max(before - after for before, after in zip([50, *left], [*left, 0], strict=True))
    assert biggest < 25, f"{biggest} of 50 left within a tenth of a second"
    await asyncio.gather(*(each.withdraw() for each in all_of_them))


async def test_stopping_in_the_middle_of_a_step_leaves_no_entry_behind(
    registry: MemoryRegistry, kept: Registration
) -> None:
    registry.slow = 0.3
    kept.set_serving(True)
    kept.start()
    await asyncio.sleep(0.1)
    await kept.withdraw()
    await asyncio.sleep(0.5)
    assert not registry.entries
    assert kept.state is State.WITHDRAWN


async def test_stopping_while_the_registry_is_away_takes_two_seconds_at_most(
    registry: MemoryRegistry, kept: Registration
) -> None:
    kept.set_serving(True)
    kept.start()
    await eventually(lambda: bool(registry.entries), 2, "the entry")
    registry.slow = 30
    began = time.monotonic()
    await kept.withdraw()
    assert time.monotonic() - began < 3


async def test_a_fault_of_ours_ends_neither_the_loop_nor_the_stopping(
    registry: MemoryRegistry, kept: Registration, caplog: pytest.LogCaptureFixture
) -> None:
    registry.broken = True
    kept.set_serving(True)
    kept.start()
    await eventually(lambda: kept.state is State.LOST, 2, "it notices")
    registry.broken = False
    await eventually(lambda: kept.state is State.ADVERTISED, 5, "the next try")
    registry.broken = True
    await kept.withdraw()
    assert kept.state is State.WITHDRAWN
    assert "withdrawing Greeter/slot failed" in caplog.text


async def test_reasons_that_differ_each_time_are_forgotten_again(registry: MemoryRegistry) -> None:
    kept = Registration(registry, "Greeter", "a", "127.0.0.1:1", 10)
    for number in range(1000):
        kept._lost(f"etcd is away: {number}")
    assert len(kept._told) <= 100
