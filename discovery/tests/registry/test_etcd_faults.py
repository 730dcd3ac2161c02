"""What etcd and the network may do: be away, hang, lose its data, lose members, answer slowly. Each on all three interfaces at the same time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from discovery.tests.etcds import KINDS, Kind, etcdctl
from discovery.tests.proxy import Proxy
from discovery.tests.registry.watching import watching
from discovery.tests.waiting import eventually
from grpc_discovery.registration import Registration, State
from grpc_discovery.registry import Registry, RegistryUnavailable
from infra.etcd import Etcd, etcd_cluster

pytestmark = pytest.mark.processes

SERVICE = "acme.greeter.v1.Greeter"
TTL = 2.0

in_a_thread = asyncio.to_thread


async def on_each_kind(scenario: Callable[[Kind, Path], Awaitable[None]], folder: Path) -> None:
    """Run a scenario on every kind of etcd at once, since it mostly waits; all that failed are told."""
    folders = [folder / f"{kind.discovery}-on-{kind.version}" for kind in KINDS]
    ends = await asyncio.gather(
        *(scenario(kind, own) for kind, own in zip(KINDS, folders, strict=True)), return_exceptions=True
    )
    failed = [end for end in ends if isinstance(end, BaseException)]
    for own, end in zip(folders, ends, strict=True):
        if isinstance(end, BaseException):
            end.add_note(f"on {own.name}")
    if failed:
        raise BaseExceptionGroup("a scenario failed", failed)


@asynccontextmanager
async def running(etcd: Etcd) -> AsyncIterator[Etcd]:
    """One member, started and stopped without holding the loop."""
    await in_a_thread(etcd.__enter__)
    try:
        yield etcd
    finally:
        await in_a_thread(etcd.stop)


@asynccontextmanager
async def cluster(kind: Kind, folder: Path) -> AsyncIterator[list[Etcd]]:
    """Three members, started and stopped without holding the loop."""
    manager = etcd_cluster(folder, v2=kind.v2, program=kind.program)
    members = await in_a_thread(manager.__enter__)
    try:
        yield members
    finally:
        await in_a_thread(manager.__exit__, None, None, None)


async def is_away(registry: Registry) -> bool:
    try:
        await registry.list(SERVICE)
    except RegistryUnavailable:
        return True
    return False


async def eventually_advertised(registry: Registry, instance: str, address: str, ttl: float = TTL) -> None:
    async def done() -> bool:
        try:
            await registry.advertise(SERVICE, instance, address, ttl)
        except RegistryUnavailable:
            return False
        return True

    await eventually(done, 15, "etcd takes an entry")


async def test_an_etcd_that_is_away_is_not_an_empty_list(tmp_path: Path) -> None:
    await on_each_kind(away, tmp_path)


async def away(kind: Kind, folder: Path) -> None:
    etcd = kind.etcd(folder)
    registry = await kind.registry(etcd.address)
    with pytest.raises(RegistryUnavailable, match="gives no answer"):
        await registry.list(SERVICE)
    async with running(etcd), watching(registry, SERVICE) as seen:
        await eventually(lambda: seen.now({}), 5, "the list after the start")
        await registry.advertise(SERVICE, "a", "h:1", 30)
        await eventually(lambda: seen.now({"a": "h:1"}), 3, "the entry")
        begin = len(seen.lists)
        etcd.pause()
        # The signal takes a moment to reach all of etcd's threads.
        took = await eventually(partial(is_away, registry), 10, "a hung etcd is noticed")
        assert took < 5, "a hung etcd is given up after a moment"
        etcd.resume()
        before = len(seen.lists)
        await eventually(lambda: len(seen.lists) > before, 8, "a list after the pause")
        assert seen.lists[-1] == {"a": "h:1"}
        await in_a_thread(etcd.restart)
        await in_a_thread(etcd.wait_ready)
        before = len(seen.lists)
        await eventually(lambda: len(seen.lists) > before, 8, "a list after the restart")
        assert all(seen.lists[begin:]), "never empty in between"
        await in_a_thread(etcd.stop)
        etcd.wipe()  # its count of changes begins again, so what the watch waits behind lies in the future
        etcd.start()
        await in_a_thread(etcd.wait_ready)
        await eventually(lambda: seen.now({}), 8, "the empty list of an etcd that lost its data")
        await eventually_advertised(registry, "b", "h:2")
        assert await eventually(lambda: seen.now({"b": "h:2"}), 8, "the entry after the loss") < 6
    await registry.close()


async def test_in_a_cluster_each_member_may_die_in_turn(tmp_path: Path) -> None:
    await on_each_kind(members_die, tmp_path)


async def members_die(kind: Kind, folder: Path) -> None:
    async with cluster(kind, folder) as members:
        registry = await kind.registry(*(each.address for each in members))
        async with watching(registry, SERVICE) as seen:
            await registry.advertise(SERVICE, "a", "h:1", 30)
            await eventually(partial(seen.has, "a"), 8, "the entry")
            begin = len(seen.lists)
            for number, dead in enumerate(members):
                await in_a_thread(dead.kill)
                await eventually_advertised(registry, f"new-{number}", f"h:{number + 1}", 10)
                await eventually(partial(seen.has, f"new-{number}"), 8, "the watch sees what came after the death")
                assert await registry.renew(SERVICE, "a", "h:1", 30)
                dead.start()
                await in_a_thread(dead.wait_ready)
            assert all("a" in instances for instances in seen.lists[begin:])
        await registry.close()


async def test_a_leader_that_goes_and_a_member_that_is_removed_lose_no_entry(tmp_path: Path) -> None:
    """Three entries are renewed all the time and followed by a watch; none is missing at any moment."""
    await on_each_kind(leader_and_member_go, tmp_path)


async def leader_and_member_go(kind: Kind, folder: Path) -> None:
    ttl = 5.0
    async with cluster(kind, folder) as members:
        registries = [await kind.registry(*(each.address for each in members)) for _ in range(3)]
        kept = [Registration(each, SERVICE, f"i{n}", f"h:{n + 1}", ttl) for n, each in enumerate(registries)]
        for each in kept:
            each.set_serving(True)
            each.start()
        everybody = {each.instance: each.address for each in kept}
        async with watching(registries[0], SERVICE) as seen:
            await eventually(lambda: seen.now(everybody), 8, "all entries are there")
            begin = len(seen.lists)
            leader, *others = await in_a_thread(leader_first, members)
            await in_a_thread(move_leader, leader, others[0])
            await eventually(lambda: len(seen.lists) > begin, 12, "a list after the change of the leader")
            await in_a_thread(remove_member, others[0], leader)
            after = len(seen.lists)
            await asyncio.sleep(ttl)  # an entry that nobody renewed would have gone
            await eventually(lambda: len(seen.lists) > after, 12, "a list after the removal of a member")
            assert all(instances == everybody for instances in seen.lists[begin:])
        for each in kept:
            await each.withdraw()
        for registry in registries:
            await registry.close()


def leader_first(members: list[Etcd]) -> list[Etcd]:
    """The members, the leader before the others."""
    leader = member_status(members[0])["Status"]["leader"]
    return sorted(members, key=lambda each: bool(member_status(each)["Status"]["header"]["member_id"] != leader))


def member_status(member: Etcd) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(etcdctl(member.address, "endpoint", "status", "-w", "json"))[0]
    return status


def move_leader(leader: Etcd, to: Etcd) -> None:
    etcdctl(leader.address, "move-leader", f"{member_status(to)['Status']['header']['member_id']:x}")


def remove_member(asked: Etcd, removed: Etcd) -> None:
    etcdctl(asked.address, "member", "remove", f"{member_status(removed)['Status']['header']['member_id']:x}")


async def test_an_etcd_that_takes_half_a_second_an_answer_loses_no_entry(tmp_path: Path) -> None:
    await on_each_kind(slow, tmp_path)


async def slow(kind: Kind, folder: Path) -> None:
    async with running(kind.etcd(folder)) as etcd, Proxy(etcd.address) as proxy:
        proxy.delay = 0.5
        registry = await kind.registry(proxy.address)
        kept = Registration(registry, SERVICE, "a", "h:1", 10)
        kept.set_serving(True)
        kept.start()
        async with watching(registry, SERVICE) as seen:
            await eventually(lambda: seen.now({"a": "h:1"}), 8, "the entry is there")
            begin = len(seen.lists)
            await eventually(lambda: len(seen.lists) > begin, 12, "another list, after the TTL")
            assert all(instances == {"a": "h:1"} for instances in seen.lists[begin:])
            assert kept.state is State.ADVERTISED
            assert seen.lost == 0
        await kept.withdraw()
        await registry.close()


async def test_a_connection_that_is_half_open_is_left(tmp_path: Path) -> None:
    await on_each_kind(half_open, tmp_path)


async def half_open(kind: Kind, folder: Path) -> None:
    async with running(kind.etcd(folder)) as etcd, Proxy(etcd.address) as proxy:
        registry, direct = await kind.registry(proxy.address), await kind.registry(etcd.address)
        async with watching(registry, SERVICE) as seen:
            await eventually(lambda: seen.now({}), 5, "the first list")
            proxy.half_open()
            await direct.advertise(SERVICE, "a", "h:1", 30)
            assert await eventually(lambda: seen.now({"a": "h:1"}), 15, "the entry, over a new connection") < 10
        await direct.withdraw(SERVICE, "a", "h:1")
        for each in (direct, registry):
            await each.close()
