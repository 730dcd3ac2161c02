"""What every registry that can advertise must do, on a real etcd: v2 keys, v3 on etcd 3.5, v3 on etcd 3.6."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from discovery.tests.etcds import KINDS, ROOT, Kind, etcdctl
from discovery.tests.proxy import Proxy
from discovery.tests.registry.watching import watching
from discovery.tests.waiting import eventually
from grpc_discovery.registry import Registry, open_registry
from grpc_discovery.registry.etcd_v2 import EtcdV2
from grpc_discovery.registry.etcd_v3 import EtcdV3
from infra.etcd import Etcd

pytestmark = pytest.mark.processes

SERVICE = "acme.greeter.v1.Greeter"
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


async def test_the_names_of_all_services_with_entries_are_told(kind: Kind, member: Etcd, registry: Registry) -> None:
    assert await registry.names() == []
    await registry.advertise("web", "a", "h:1", TTL)
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    await registry.advertise(SERVICE, "b", "h:2", TTL)
    kind.put(member.address, f"{ROOT}/0-no-name/a", "h:1")
    kind.put(member.address, f"{ROOT}/no-service", "h:1")
    assert await registry.names() == [SERVICE, "web"]
    await registry.withdraw("web", "a", "h:1")
    assert await registry.names() == [SERVICE]
    kind.delete(member.address, ROOT)


async def test_an_instance_may_be_named_by_an_ipv6_address(registry: Registry) -> None:
    name = "[2001:db8::7]:8101"
    await registry.advertise(SERVICE, name, name, TTL)
    async with watching(registry, SERVICE) as seen:
        await eventually(lambda: seen.now({name: name}), 2, "the entry is seen by a watch")
        assert await registry.renew(SERVICE, name, name, TTL)
        assert await registry.list(SERVICE) == {name: name}
        await registry.withdraw(SERVICE, name, name)
        await eventually(lambda: seen.now({}), 2, "the withdrawal is seen by a watch")


@pytest.mark.parametrize("instance", ["pod#1", "a/b", "_x", "..", "", "a b", "a\nb", "é"])
async def test_a_name_that_cannot_be_one_of_an_instance_is_refused(registry: Registry, instance: str) -> None:
    with pytest.raises(ValueError, match="is no name of an instance"):
        await registry.advertise(SERVICE, instance, "h:1", TTL)


@pytest.mark.parametrize("service", ["a/b", "..", "", "_hidden", "1st"])
async def test_a_name_that_cannot_be_one_of_a_service_is_refused(registry: Registry, service: str) -> None:
    with pytest.raises(ValueError, match="is no name of a service"):
        await registry.advertise(service, "a", "h:1", TTL)


async def test_what_others_have_written_is_passed_on_as_it_is(kind: Kind, member: Etcd, registry: Registry) -> None:
    kind.put(member.address, f"{ROOT}/{SERVICE}/a", "unix:/any.sock")
    assert await registry.list(SERVICE) == {"a": "unix:/any.sock"}
    kind.delete(member.address, f"{ROOT}/{SERVICE}")


async def test_members_may_have_ipv6_addresses(kind: Kind, member: Etcd) -> None:
    async with Proxy(member.address, "::1") as proxy:
        assert proxy.address.startswith("[::1]:")
        registry = await open_registry(kind.settings(proxy.address, discovery="auto").registry)
        await registry.advertise(SERVICE, "a", "h:1", TTL)
        assert await registry.renew(SERVICE, "a", "h:1", TTL)
        assert await registry.list(SERVICE) == {"a": "h:1"}
        await registry.withdraw(SERVICE, "a", "h:1")
        await registry.close()


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
    async with watching(registry, SERVICE) as seen:
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
    async with watching(registry, SERVICE) as seen:
        await eventually(lambda: seen.now({}), 2, "the first list")
        member.pause()  # the watch waits behind an index that the writes below push out of memory
        member.resume()
        if kind.discovery == "etcd-v2":
            await asyncio.to_thread(write_often, kind, member.address, 1100)
        else:
            etcdctl(member.address, "put", "elsewhere", "x")
            revision = int(
                etcdctl(member.address, "get", "elsewhere", "-w", "fields").split('"Revision" : ')[1].split()[0]
            )
            etcdctl(member.address, "compact", str(revision))
        await registry.advertise(SERVICE, "a", "h:1", TTL)
        assert await eventually(lambda: seen.now({"a": "h:1"}), 7, "the entry after the compaction") < 6


def write_often(kind: Kind, address: str, times: int) -> None:
    for number in range(times):
        kind.put(address, "/elsewhere", str(number))


async def test_which_interface_etcd_offers_is_found_out(kind: Kind, member: Etcd) -> None:
    found = await open_registry(kind.settings(member.address, discovery="auto").registry)
    assert isinstance(found, EtcdV2 if kind.v2 else EtcdV3)
    await found.close()
