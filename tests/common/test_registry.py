"""What every registry that can advertise must do, on a real etcd: v2 keys, v3 on etcd 3.5, v3 on etcd 3.6."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.registry import Registry, RegistryUnavailable, open_registry
from common.registry.etcd_v2 import EtcdV2
from common.registry.etcd_v3 import EtcdV3
from infra.etcd import Etcd, etcd_cluster
from infra.layout import ROOT as ROOT_FOLDER
from infra.processes import Process
from protos import etcd_rpc_pb2 as rpc
from tests.common.etcds import KINDS, ROOT, V2, Kind, etcdctl, eventually

SERVICE = "CommentsService"
TTL = 2.0


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind.discovery}-on-{kind.version}", scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def member(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with kind.etcd(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
async def registry(kind: Kind, member: Etcd) -> AsyncIterator[Registry]:
    opened = await kind.registry(member.address)
    yield opened
    for instance, address in (await opened.list(SERVICE)).items():
        await opened.withdraw(SERVICE, instance, address)
    await opened.close()


class Watching:
    """The lists that a watch brings, as they come."""

    def __init__(self) -> None:
        self.lists: list[dict[str, str]] = []
        self.lost = 0

    def has(self, instance: str) -> bool:
        return bool(self.lists) and instance in self.lists[-1]

    def now(self, instances: dict[str, str]) -> bool:
        return bool(self.lists) and self.lists[-1] == instances


@asynccontextmanager
async def watching(registry: Registry, service: str = SERVICE) -> AsyncIterator[Watching]:
    """A watch that is begun again whenever it loses contact, as a caller would."""
    seen = Watching()

    async def follow() -> None:
        while True:
            try:
                async with aclosing(registry.watch(service)) as lists:  # type: ignore[type-var]
                    async for instances in lists:
                        seen.lists.append(instances)
            except RegistryUnavailable:
                seen.lost += 1
                await asyncio.sleep(0.2)

    task = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_an_entry_is_listed_with_its_address_and_withdrawn_without_a_trace(
    kind: Kind, member: Etcd, registry: Registry
) -> None:
    assert await registry.list(SERVICE) == {}
    await registry.advertise(SERVICE, "127.0.0.1:8101", "127.0.0.1:8101", TTL)
    await registry.advertise(SERVICE, "other", "10.0.0.7:8102", TTL)
    assert await registry.list(SERVICE) == {"127.0.0.1:8101": "127.0.0.1:8101", "other": "10.0.0.7:8102"}
    await registry.withdraw(SERVICE, "127.0.0.1:8101", "127.0.0.1:8101")
    assert await registry.list(SERVICE) == {"other": "10.0.0.7:8102"}
    await registry.withdraw(SERVICE, "other", "10.0.0.7:8102")
    assert not kind.holds(member.address, f"{ROOT}/{SERVICE}")


async def test_an_entry_of_a_service_whose_name_begins_alike_is_not_listed(registry: Registry) -> None:
    await registry.advertise(SERVICE + "Other", "a", "h:1", TTL)
    assert await registry.list(SERVICE) == {}
    await registry.withdraw(SERVICE + "Other", "a", "h:1")


async def test_an_entry_lives_while_it_is_renewed_and_goes_within_its_ttl_and_a_second(
    kind: Kind, member: Etcd, registry: Registry
) -> None:
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    for _ in range(4):
        assert await registry.renew(SERVICE, "a", "h:1", TTL)
        assert await registry.list(SERVICE) == {"a": "h:1"}
        await asyncio.sleep(TTL / 3)

    async def gone() -> bool:
        return await registry.list(SERVICE) == {}

    await eventually(gone, TTL + 1, "the entry expires")


async def test_a_renewal_wakes_no_watcher_and_a_change_does_at_once(registry: Registry) -> None:
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    async with watching(registry) as seen:
        await eventually(lambda: seen.now({"a": "h:1"}), 2, "the first list")
        for _ in range(4):
            assert await registry.renew(SERVICE, "a", "h:1", TTL)
            await asyncio.sleep(TTL / 4)
        assert len(seen.lists) == 1
        await registry.advertise(SERVICE, "b", "h:2", TTL)
        assert await eventually(lambda: seen.now({"a": "h:1", "b": "h:2"}), 2, "the second entry") < 0.5
        await registry.withdraw(SERVICE, "b", "h:2")
        assert await eventually(lambda: seen.now({"a": "h:1"}), 2, "the withdrawal") < 0.5


async def test_a_renewal_says_when_the_entry_is_gone_or_a_successors(
    kind: Kind, member: Etcd, registry: Registry
) -> None:
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    kind.delete(member.address, f"{ROOT}/{SERVICE}")
    assert not await registry.renew(SERVICE, "a", "h:1", TTL)
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    successor = await kind.registry(member.address)
    await successor.advertise(SERVICE, "a", "h:9", TTL)
    assert not await registry.renew(SERVICE, "a", "h:1", TTL)
    await registry.withdraw(SERVICE, "a", "h:1")
    assert await registry.list(SERVICE) == {"a": "h:9"}, "a successor's entry stays"
    assert await successor.renew(SERVICE, "a", "h:9", TTL)
    await successor.withdraw(SERVICE, "a", "h:9")
    await successor.close()


async def test_a_watch_survives_a_history_that_is_no_longer_kept(kind: Kind, member: Etcd, registry: Registry) -> None:
    async with watching(registry) as seen:
        await eventually(lambda: seen.now({}), 2, "the first list")
        member.pause()  # the watch waits behind an index that the writes below push out of memory
        member.resume()
        if kind.discovery == "etcd-v2":
            assert isinstance(registry, EtcdV2)
            member_client = registry._members[0]
            for number in range(1100):
                member_client.write("/elsewhere", str(number))
        else:
            etcdctl(member.address, "put", "elsewhere", "x")
            revision = int(
                etcdctl(member.address, "get", "elsewhere", "-w", "fields").split('"Revision" : ')[1].split()[0]
            )
            etcdctl(member.address, "compact", str(revision))
        await registry.advertise(SERVICE, "a", "h:1", TTL)
        assert await eventually(lambda: seen.now({"a": "h:1"}), 7, "the entry after the compaction") < 6


async def test_which_interface_etcd_offers_is_found_out(kind: Kind, member: Etcd) -> None:
    found = await open_registry(kind.settings(member.address).model_copy(update={"discovery": "auto"}))
    assert isinstance(found, EtcdV2 if kind.v2 else EtcdV3)
    await found.close()


async def test_an_etcd_that_is_away_is_not_an_empty_list(kind: Kind, tmp_path: Path) -> None:
    etcd = kind.etcd(tmp_path)
    registry = await kind.registry(etcd.address)
    with pytest.raises(RegistryUnavailable):
        await registry.list(SERVICE)
    with etcd:
        async with watching(registry) as seen:
            await eventually(lambda: seen.now({}), 5, "the list after the start")
            await registry.advertise(SERVICE, "a", "h:1", 30)
            await eventually(lambda: seen.now({"a": "h:1"}), 3, "the entry")
            etcd.pause()
            # The signal takes a moment to reach all of etcd's threads.
            took = await eventually(partial(is_away, registry), 10, "a hung etcd is noticed")
            assert took < 5, "a hung etcd is given up after a moment"
            etcd.resume()
            before = len(seen.lists)
            await eventually(lambda: len(seen.lists) > before, 8, "a list after the pause")
            assert seen.lists[-1] == {"a": "h:1"}
            etcd.restart()
            etcd.wait_ready()
            before = len(seen.lists)
            await eventually(lambda: len(seen.lists) > before, 8, "a list after the restart")
            assert all(instances for instances in seen.lists[1:]), "never empty in between"
            etcd.stop()
            etcd.wipe()  # its count of changes begins anew, so what the watch waits behind lies in the future
            etcd.start()
            etcd.wait_ready()
            await eventually(lambda: seen.now({}), 8, "the empty list of an etcd that lost its data")
            await eventually_advertised(registry, "b", "h:2")
            assert await eventually(lambda: seen.now({"b": "h:2"}), 8, "the entry after the loss") < 6
    await registry.close()


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


async def test_in_a_cluster_each_member_may_die_in_turn(kind: Kind, tmp_path: Path) -> None:
    with etcd_cluster(tmp_path, v2=kind.v2, program=kind.program) as members:
        registry = await kind.registry(*(each.address for each in members))
        async with watching(registry) as seen:
            await registry.advertise(SERVICE, "a", "h:1", 30)
            for number, dead in enumerate(members):
                dead.kill()
                await eventually_advertised(registry, f"new-{number}", f"h:{number}")
                expected = await registry.list(SERVICE)
                assert set(expected) >= {"a", f"new-{number}"}
                await eventually(partial(seen.has, f"new-{number}"), 8, "the watch sees what came after the death")
                assert await registry.renew(SERVICE, "a", "h:1", 30)
                dead.start()
                dead.wait_ready()
        assert all("a" in instances for instances in seen.lists[1:])
        await registry.close()


async def test_user_and_password_are_asked_for_and_used(kind: Kind, tmp_path: Path) -> None:
    with kind.etcd(tmp_path) as etcd:
        await asyncio.to_thread(kind.ask_for_user, etcd.address)
        stranger = await kind.registry(etcd.address)
        with pytest.raises(RegistryUnavailable):
            await stranger.advertise(SERVICE, "a", "h:1", TTL)
        wrong = await kind.registry(etcd.address, etcd_username="root", etcd_password="wrong")
        with pytest.raises(RegistryUnavailable):
            await wrong.advertise(SERVICE, "a", "h:1", TTL)
        registry = await kind.registry(etcd.address, etcd_username="root", etcd_password="secret")
        await eventually_advertised(registry, "a", "h:1", 30)  # etcd's check of a password is slow on a busy machine
        assert await registry.renew(SERVICE, "a", "h:1", 30)
        async with watching(registry) as seen:
            await eventually(lambda: seen.now({"a": "h:1"}), 10, "the list")
            await registry.withdraw(SERVICE, "a", "h:1")
            await eventually(lambda: seen.now({}), 10, "the withdrawal")
        if isinstance(registry, EtcdV3):
            registry._token = [("token", "worn out")]
            assert await registry.list(SERVICE) == {}, "a token that is no longer good is replaced"
        for each in (stranger, wrong, registry):
            await each.close()


async def test_a_user_that_etcd_does_not_ask_for_does_no_harm(kind: Kind, member: Etcd) -> None:
    registry = await kind.registry(member.address, etcd_username="root", etcd_password="secret")
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    assert await registry.renew(SERVICE, "a", "h:1", TTL)
    assert await registry.list(SERVICE) == {"a": "h:1"}
    await registry.withdraw(SERVICE, "a", "h:1")
    await registry.close()


async def test_a_new_connection_in_the_middle_of_a_call_is_no_fault_of_ours() -> None:
    """One call finds a member silent and gives it a new channel; another one had its second request to the same member still before it."""
    v3 = KINDS[1]
    registry = EtcdV3(v3.settings("127.0.0.1:1"))

    async def second_request(member: Any) -> None:
        await member.channel.close(None)
        await member.keys.Range(rpc.RangeRequest(key=b"x"), timeout=1)

    with pytest.raises(RegistryUnavailable):
        await registry._call(second_request)
    await registry.close()


async def test_a_renewal_counts_though_the_sweep_after_it_failed(tmp_path: Path) -> None:
    with V2.etcd(tmp_path) as etcd:
        registry = await V2.registry(etcd.address)
        assert isinstance(registry, EtcdV2)

        async def fail() -> None:
            raise RegistryUnavailable("the sweep took too long")

        await registry.advertise(SERVICE, "a", "h:1", TTL)
        registry.sweep = fail  # type: ignore[method-assign]  # the sweep alone is to fail
        assert await registry.renew(SERVICE, "a", "h:1", TTL)
        await registry.withdraw(SERVICE, "a", "h:1")
        await registry.close()


async def test_the_directory_of_a_process_that_died_without_a_word_goes_with_its_entry(tmp_path: Path) -> None:
    """etcd expires the entry but not its directory, and existing clients fail on an empty one."""
    lives = 6.0  # time enough for a Python to start on a busy machine
    with V2.etcd(tmp_path) as etcd:
        program = (
            "import asyncio\nfrom common.registry import open_registry\nfrom common.settings import Settings\n"
            "async def main():\n"
            "    registry = await open_registry(Settings.load())\n"
            f"    await registry.advertise('{SERVICE}', 'a', 'h:1', {lives})\n"
            "    await asyncio.sleep(600)\n"
            "asyncio.run(main())\n"
        )
        environment = {"KILLRVIDEO_ETCD": etcd.address, "KILLRVIDEO_TTL": str(lives)}
        process = Process(
            "advertiser", [sys.executable, "-c", program], tmp_path / "log", environment=environment, folder=ROOT_FOLDER
        )
        process.start()
        await eventually(lambda: V2.holds(etcd.address, f"{ROOT}/{SERVICE}/a"), 30, "the entry is there")
        process.kill()
        died = time.monotonic()
        await eventually(lambda: not V2.holds(etcd.address, f"{ROOT}/{SERVICE}"), lives + 1, "the directory goes")
        assert time.monotonic() - died < lives + 1


async def test_a_living_process_removes_the_empty_directories_of_the_dead(tmp_path: Path) -> None:
    with V2.etcd(tmp_path) as etcd:
        V2.put(etcd.address, f"{ROOT}/RatingsService/a", "h:1")
        V2.delete(etcd.address, f"{ROOT}/RatingsService/a")
        assert V2.holds(etcd.address, f"{ROOT}/RatingsService")
        registry = await V2.registry(etcd.address)
        await registry.advertise(SERVICE, "a", "h:1", TTL)
        assert await registry.renew(SERVICE, "a", "h:1", TTL)
        assert not V2.holds(etcd.address, f"{ROOT}/RatingsService")
        await registry.withdraw(SERVICE, "a", "h:1")
        await registry.close()


async def test_a_process_with_several_entries_leaves_one_will(tmp_path: Path) -> None:
    with V2.etcd(tmp_path) as etcd:
        registry = await V2.registry(etcd.address)
        names = ("CommentsService", "RatingsService", "SearchService")
        before = children()
        await asyncio.gather(*(registry.advertise(name, "a", "h:1", 30) for name in names))
        assert len(children() - before) == 1
        await asyncio.gather(*(registry.withdraw(name, "a", "h:1") for name in names))
        await registry.close()
        await eventually(lambda: not children() - before, 10, "the will ends with the process that left it in order")


def children() -> set[str]:
    """The last wills that wait beneath this process."""
    mine = f"PPid:\t{os.getpid()}\n"
    return {
        process.name
        for process in Path("/proc").glob("[0-9]*")
        if mine in text_of(process / "status") and "last_will" in text_of(process / "cmdline")
    }


def text_of(file: Path) -> str:
    """What a file of /proc holds; nothing once its process has ended."""
    try:
        return file.read_text()
    except OSError:
        return ""
