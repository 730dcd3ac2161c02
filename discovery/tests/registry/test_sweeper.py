"""What removes the empty directories of services in etcd's v2 keys: living processes, and what a dead one left behind."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from discovery.tests.etcds import PASSWORD, ROOT, V2
from discovery.tests.waiting import eventually
from grpc_discovery.registry import RegistryUnavailable
from grpc_discovery.registry.etcd_v2 import EtcdV2
from infra.etcd import Etcd
from infra.layout import ROOT as ROOT_FOLDER
from infra.processes import Process

pytestmark = pytest.mark.processes

SERVICE = "acme.greeter.v1.Greeter"
TTL = 2.0


@pytest.fixture
async def registry(etcd: Etcd) -> AsyncIterator[EtcdV2]:
    opened = await V2.registry(etcd.address)
    assert isinstance(opened, EtcdV2)
    yield opened
    await opened.close()


async def test_a_renewal_counts_though_the_sweep_after_it_failed(
    registry: EtcdV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise RegistryUnavailable("the sweep took too long")

    await registry.advertise(SERVICE, "a", "h:1", TTL)
    monkeypatch.setattr(registry, "sweep", fail)
    assert await registry.renew(SERVICE, "a", "h:1", TTL)
    await registry.withdraw(SERVICE, "a", "h:1")


@pytest.mark.parametrize("guarded", [False, True], ids=["without a user", "with a user"])
async def test_the_directory_of_a_process_that_died_without_a_word_goes_with_its_entry(
    tmp_path: Path, guarded: bool
) -> None:
    """etcd expires the entry but not its directory, and existing clients fail on an empty one."""
    lives = 6.0  # time enough for a Python to start on a busy machine
    with V2.etcd(tmp_path) as etcd:
        environment = {"TEST_ETCD": etcd.address, "TEST_REGISTRY_ROOT": "/some/where"}
        if guarded:
            await asyncio.to_thread(V2.ask_for_user, etcd.address)
            environment |= {"TEST_ETCD_USERNAME": "root", "TEST_ETCD_PASSWORD": PASSWORD}
        program = (
            "import asyncio\nfrom grpc_discovery.registry import open_registry\n"
            "from grpc_discovery.settings import Settings\n"
            "async def main():\n"
            "    registry = await open_registry(Settings.load('TEST_').registry)\n"
            f"    await registry.advertise('{SERVICE}', '[::1]:1', '[::1]:1', {lives})\n"
            "    print('advertised', flush=True)\n"
            "    await asyncio.sleep(600)\n"
            "asyncio.run(main())\n"
        )
        process = Process(
            "advertiser", [sys.executable, "-c", program], tmp_path / "log", environment=environment, folder=ROOT_FOLDER
        )
        process.start()
        await eventually(lambda: "advertised" in text_of(tmp_path / "log"), 30, "the entry is there")
        process.kill()
        died = time.monotonic()
        user = {"etcd_username": "root", "etcd_password": PASSWORD} if guarded else {}
        looking = await V2.registry(etcd.address, registry_root="/some", **user)

        async def gone() -> bool:
            # The directory `where` is to the one above what a service is to the root.
            return not await asyncio.to_thread(directory_exists, looking)  # type: ignore[arg-type]

        bound = lives + (2.5 if guarded else 1)
        await eventually(gone, bound, "the directory goes")
        assert time.monotonic() - died < bound
        await looking.close()


def directory_exists(registry: EtcdV2) -> bool:
    import etcd as library

    client = registry._members._clients[0]
    try:
        client.read(f"/some/where/{SERVICE}")
    except library.EtcdKeyNotFound:
        return False
    return True


async def test_a_living_process_removes_the_empty_directories_of_the_dead(etcd: Etcd, registry: EtcdV2) -> None:
    V2.put(etcd.address, f"{ROOT}/Other/a", "h:1")
    V2.delete(etcd.address, f"{ROOT}/Other/a")
    assert V2.holds(etcd.address, f"{ROOT}/Other")
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    assert await registry.renew(SERVICE, "a", "h:1", TTL)
    assert not V2.holds(etcd.address, f"{ROOT}/Other")
    await registry.withdraw(SERVICE, "a", "h:1")


async def test_a_process_with_several_entries_leaves_one_sweeper(registry: EtcdV2) -> None:
    names = ("One", "Two", "Three")
    await asyncio.gather(*(registry.advertise(name, "a", "h:1", 30) for name in names))
    await the_sweeper()
    await asyncio.gather(*(registry.withdraw(name, "a", "h:1") for name in names))
    await registry.close()
    await eventually(lambda: not children(), 10, "the sweeper ends with the process that left it in order")


async def test_an_entry_that_outlasts_its_process_leaves_no_sweeper(registry: EtcdV2) -> None:
    a_year = 365 * 86_400.0
    await registry.advertise("cluster", "a", "h:1", a_year)
    assert await registry.renew("cluster", "a", "h:1", a_year)
    await registry.close()
    assert not children()
    await registry.withdraw("cluster", "a", "h:1")


async def test_a_sweeper_that_was_killed_is_begun_again_at_the_next_renewal(registry: EtcdV2) -> None:
    await registry.advertise(SERVICE, "a", "h:1", 30)
    first = await the_sweeper()
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: is_zombie(first) or not children(), 5, "it is dead")
    assert await registry.renew(SERVICE, "a", "h:1", 30)
    assert await the_sweeper() != first, "the dead one is gone from the list of processes as well"
    await registry.withdraw(SERVICE, "a", "h:1")


async def test_a_sweeper_that_was_killed_does_not_disturb_an_orderly_end(registry: EtcdV2) -> None:
    await registry.advertise(SERVICE, "a", "h:1", 30)
    killed = await the_sweeper()
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: is_zombie(killed) or not children(), 5, "it is dead")
    await registry.withdraw(SERVICE, "a", "h:1")
    await registry.close()
    await eventually(lambda: not children(), 5, "no zombie is left")


async def test_the_password_stands_neither_in_arguments_nor_in_the_environment_of_the_sweeper(tmp_path: Path) -> None:
    with V2.etcd(tmp_path) as etcd:
        registry = await V2.registry(etcd.address, etcd_username="root", etcd_password="very-secret")
        await registry.advertise(SERVICE, "a", "h:1", 30)
        sweeper = await the_sweeper()
        for file in ("cmdline", "environ"):
            assert "secret" not in text_of(Path(f"/proc/{sweeper}/{file}"))
        await registry.withdraw(SERVICE, "a", "h:1")
        await registry.close()
        await eventually(lambda: not children(), 5, "it ends")


async def the_sweeper() -> int:
    """The one sweeper beneath this process; just after its start Linux does not show its arguments yet."""
    await eventually(lambda: len(children()) == 1, 5, "one sweeper waits")
    return children().pop()


def children() -> set[int]:
    """The sweepers beneath this process, those that are dead and not yet taken note of included."""
    mine = f"PPid:\t{os.getpid()}\n"
    return {
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if mine in text_of(process / "status")
        and ("sweeper.py" in text_of(process / "cmdline") or "Name:\tsh\n" in text_of(process / "status"))
    }


def is_zombie(process: int) -> bool:
    return "State:\tZ" in text_of(Path(f"/proc/{process}/status"))


def text_of(file: Path) -> str:
    """What a file of /proc holds; nothing once its process has ended."""
    try:
        return file.read_text()
    except OSError:
        return ""
