"""What a caller believes of the registry: an empty list not at once, silence never; and a cut-off start from the last list."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from grpc import aio

from discovery.tests.balancing.callers import Caller
from discovery.tests.balancing.servers import GREETER, instances
from discovery.tests.etcds import KINDS, Kind
from discovery.tests.waiting import eventually
from grpc_discovery.balancing.resolver import InstanceCache, Resolver
from grpc_discovery.discovery import Discovery
from grpc_discovery.registry.interface import Names, RegistryUnavailable
from grpc_discovery.settings import Settings
from infra.etcd import Etcd
from infra.ports import free_port


class ScriptedRegistry:
    """A registry that says what the test wants, whenever it is told to."""

    def __init__(self) -> None:
        self.instances: dict[str, str] = {}
        self.away = False
        self.looks = 0
        self.spoken = asyncio.Event()

    def say(self, instances: dict[str, str]) -> None:
        self.instances = instances
        self.spoken.set()

    async def list(self, service: str) -> dict[str, str]:
        self.looks += 1
        if self.away:
            raise RegistryUnavailable("the test has taken it away")
        return self.instances

    async def watch(self, service: str) -> AsyncGenerator[dict[str, str]]:
        while True:
            yield await self.list(service)
            try:
                async with asyncio.timeout(0.05):
                    await self.spoken.wait()
                self.spoken.clear()
            except TimeoutError:
                pass

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None: ...

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        return True

    async def withdraw(self, service: str, instance: str, address: str) -> None: ...

    async def names(self) -> Names:
        return [GREETER]

    async def close(self) -> None: ...


def resolver(registry: ScriptedRegistry, empty_wait: float) -> tuple[Resolver, list[dict[str, str]]]:
    taken: list[dict[str, str]] = []
    found = Resolver(GREETER, registry, empty_wait, InstanceCache(None))
    found.listeners.add(lambda _: taken.append(found.instances))
    return found, taken


async def test_an_empty_list_is_believed_only_after_a_while() -> None:
    registry = ScriptedRegistry()
    registry.say({"a": "h:1"})
    found, taken = resolver(registry, empty_wait=0.5)
    await eventually(lambda: taken == [{"a": "h:1"}], 2, "the first list")
    registry.say({})
    await asyncio.sleep(0.3)
    assert found.instances == {"a": "h:1"}
    assert await eventually(lambda: taken[-1] == {}, 2, "the empty list") < 1
    await found.close()


async def test_an_empty_list_that_fills_again_was_never_there() -> None:
    registry = ScriptedRegistry()
    registry.say({"a": "h:1"})
    found, taken = resolver(registry, empty_wait=0.5)
    await eventually(lambda: bool(taken), 2, "the first list")
    for _ in range(3):
        registry.say({})
        await asyncio.sleep(0.3)
        registry.say({"a": "h:1"})
        await asyncio.sleep(0.1)
    assert taken == [{"a": "h:1"}]
    await found.close()


async def test_a_registry_that_was_away_is_not_believed_at_once_when_it_comes_back_empty() -> None:
    registry = ScriptedRegistry()
    registry.say({"a": "h:1"})
    found, taken = resolver(registry, empty_wait=1.0)
    await eventually(lambda: bool(taken), 2, "the first list")
    registry.say({})
    looks = registry.looks
    await eventually(lambda: registry.looks > looks + 1, 2, "the empty list")
    registry.away = True
    await asyncio.sleep(1.2)
    assert taken == [{"a": "h:1"}]
    registry.away = False
    looks = registry.looks
    await eventually(lambda: registry.looks > looks + 1, 3, "the empty list after the outage")
    assert taken == [{"a": "h:1"}]
    assert await eventually(lambda: taken[-1] == {}, 3, "it is believed") > 0.5
    await found.close()


async def test_a_registry_that_is_away_changes_nothing() -> None:
    registry = ScriptedRegistry()
    registry.say({"a": "h:1"})
    found, taken = resolver(registry, empty_wait=0.0)
    await eventually(lambda: bool(taken), 2, "the first list")
    registry.away = True
    await asyncio.sleep(0.5)
    assert taken == [{"a": "h:1"}]
    registry.away = False
    registry.say({"b": "h:2"})
    await eventually(lambda: taken[-1] == {"b": "h:2"}, 3, "the new list")
    await found.close()


async def test_the_registry_is_not_asked_out_of_turn_more_than_once_a_second() -> None:
    registry = ScriptedRegistry()
    registry.away = True
    found, _ = resolver(registry, empty_wait=1)
    await asyncio.sleep(0)
    for _ in range(50):
        found.refresh_soon()
        await asyncio.sleep(0.01)
    assert registry.looks < 6
    await found.close()


def test_a_cache_that_cannot_be_read_is_written_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "instances.json"
    file.write_text("not JSON")
    with caplog.at_level(logging.WARNING):
        cache = InstanceCache(file)
    assert "instances.json" in caplog.text
    assert cache.recall(GREETER) == {}
    cache.keep(GREETER, {"a": "h:1"})
    assert InstanceCache(file).recall(GREETER) == {"a": "h:1"}


@pytest.mark.processes
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.discovery}-on-{kind.version}")
async def test_instances_are_found_kept_through_an_outage_and_remembered_over_a_restart(
    kind: Kind, tmp_path: Path
) -> None:
    etcd = Etcd(tmp_path / "etcd", free_port(), v2=kind.v2, program=kind.program)
    settings = kind.settings(etcd.address, client_cache=tmp_path / "cache.json")
    async with instances(2) as running:
        with etcd:
            registry = await kind.registry(etcd.address)
            await registry.advertise(GREETER, "one", running[0].address, 60)
            async with Discovery(settings) as discovery:
                caller = Caller(discovery)
                assert (await caller.ask(3))[running[0].address] == 3
                assert await discovery.names() == [GREETER]
                await registry.advertise(GREETER, "two", running[1].address, 60)
                await caller.until_ready(2)
                etcd.stop()
                assert len(await caller.ask(50)) == 2
        async with Discovery(settings) as discovery:
            assert (await Caller(discovery).ask(1)).total() == 1, "called from the last list while etcd is away"
        await registry.close()


async def test_a_registry_that_cannot_be_opened_is_told_to_callers_and_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    settings = Settings.from_environment("TEST_", {}, etcd_ca=wrong, discovery="etcd-v2")
    async with Discovery(settings) as discovery:
        with caplog.at_level(logging.WARNING), pytest.raises(aio.AioRpcError) as refusal:
            await Caller(discovery).hello(timeout=1)
    assert "registry" in str(refusal.value.details())
    assert f"the TLS files for etcd cannot be used ({wrong})" in str(refusal.value.details()), "it says why"
    assert caplog.text


async def test_names_that_can_be_none_are_refused_at_once() -> None:
    async with Discovery(Settings(), registry=ScriptedRegistry()) as discovery:
        for name in ("", "a/b", "..", "_x", "a b", "a\nb"):
            with pytest.raises(ValueError, match="no name of a service"):
                discovery.channel(name)


async def test_without_its_context_a_discovery_says_how_it_is_used() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        Discovery(Settings()).channel(GREETER)
