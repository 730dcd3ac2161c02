"""The registry in memory behaves as etcd does towards those who share it."""

import asyncio

import pytest

from discovery.tests.registry.watching import watching
from discovery.tests.waiting import eventually
from grpc_discovery import MemoryRegistry, RegistryUnavailable

SERVICE = "acme.greeter.v1.Greeter"
TTL = 0.4


async def test_an_entry_expires_unless_it_is_renewed_and_a_watch_sees_it_go() -> None:
    registry = MemoryRegistry()
    await registry.advertise(SERVICE, "kept", "h:1", TTL)
    await registry.advertise(SERVICE, "left", "h:2", TTL)
    async with watching(registry, SERVICE) as seen:
        await eventually(lambda: seen.now({"kept": "h:1", "left": "h:2"}), 1, "both entries")

        async def left_is_gone() -> bool:
            assert await registry.renew(SERVICE, "kept", "h:1", TTL)
            return seen.now({"kept": "h:1"})

        assert await eventually(left_is_gone, 2, "the entry that nobody renews is gone") < TTL + 0.5
        assert registry.entries == {SERVICE: {"kept": "h:1"}}
        assert await eventually(lambda: seen.now({}), 2, "the other is gone, too") < TTL + 0.5
    assert not await registry.renew(SERVICE, "kept", "h:1", TTL)
    assert await registry.names() == []


async def test_what_a_test_puts_and_removes_wakes_its_watchers_at_once_and_no_others() -> None:
    registry = MemoryRegistry()
    async with watching(registry, SERVICE) as seen, watching(registry, "other") as others:
        await eventually(lambda: seen.now({}) and others.now({}), 1, "the first lists")
        registry.put(SERVICE, "a", "h:1")
        assert await eventually(lambda: seen.now({"a": "h:1"}), 1, "the entry") < 0.2
        await asyncio.to_thread(registry.put, SERVICE, "b", "h:2")  # from another thread as well
        assert await eventually(lambda: seen.has("b"), 1, "the second entry") < 0.2
        registry.remove(SERVICE, "a")
        registry.remove(SERVICE, "unheard-of")
        assert await eventually(lambda: seen.now({"b": "h:2"}), 1, "the removal") < 0.2
        assert others.lists == [{}]


async def test_while_it_is_away_it_answers_nobody_and_afterwards_holds_what_it_held() -> None:
    registry = MemoryRegistry()
    registry.put(SERVICE, "a", "h:1")
    async with watching(registry, SERVICE) as seen:
        await eventually(lambda: seen.has("a"), 1, "the entry")
        registry.available = False
        await eventually(lambda: seen.lost > 0, 1, "the watch is told")
        for call in (
            registry.list(SERVICE),
            registry.names(),
            registry.advertise(SERVICE, "b", "h:2", TTL),
            registry.renew(SERVICE, "a", "h:1", TTL),
            registry.withdraw(SERVICE, "a", "h:1"),
        ):
            with pytest.raises(RegistryUnavailable):
                await call
        lists = len(seen.lists)
        registry.available = True
        await eventually(lambda: len(seen.lists) > lists, 2, "the watch goes on")
        assert seen.now({"a": "h:1"})


async def test_an_entry_is_only_its_owners_and_stays_when_the_registry_is_closed() -> None:
    registry = MemoryRegistry()
    await registry.advertise(SERVICE, "a", "h:1", 60)
    await registry.advertise(SERVICE, "a", "h:9", 60)
    assert not await registry.renew(SERVICE, "a", "h:1", 60)
    await registry.withdraw(SERVICE, "a", "h:1")
    await registry.close()
    assert await registry.list(SERVICE) == {"a": "h:9"}
    await registry.withdraw(SERVICE, "a", "h:9")
    assert registry.entries == {}


@pytest.mark.parametrize(("service", "instance"), [(SERVICE, "a/b"), (SERVICE, ".."), ("a/b", "a"), ("", "a")])
async def test_it_refuses_the_names_that_etcd_would_be_spared(service: str, instance: str) -> None:
    registry = MemoryRegistry()
    with pytest.raises(ValueError, match="is no name of "):
        registry.put(service, instance, "h:1")
    with pytest.raises(ValueError, match="is no name of "):
        await registry.advertise(service, instance, "h:1", 60)
