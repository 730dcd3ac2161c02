"""Whole processes of the library with a real etcd: how they begin, end, die, hang and come back (promises 2, 3, 7, 8, 22 and 23)."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from discovery.tests.balancing.servers import GREETER
from discovery.tests.etcds import KINDS, V2, Kind
from discovery.tests.missing import without
from discovery.tests.processes.greeters import TTL, GreeterProcess, entries
from discovery.tests.proxy import Proxy
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub
from grpc_discovery import Discovery
from infra.etcd import Etcd
from infra.ports import free_port

BOTH = pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.discovery)


def greeter(kind: Kind, etcd: Etcd, folder: Path, **more: str) -> GreeterProcess:
    return GreeterProcess(folder, {"ETCD": etcd.address, "DISCOVERY": kind.discovery, **more})


async def until_listed(kind: Kind, etcd: Etcd, expected: dict[str, str], within: float, what: str) -> float:
    async def listed() -> bool:
        return await entries(kind, etcd.address) == expected

    return await eventually(listed, within, what)


@BOTH
async def test_on_sigterm_it_ends_in_order_and_further_signals_change_nothing(
    etcd: Etcd, kind: Kind, tmp_path: Path
) -> None:
    with greeter(kind, etcd, tmp_path) as process:
        slow = asyncio.create_task(asyncio.to_thread(process.says, "slow"))
        async with grpc.aio.insecure_channel(process.address) as channel:
            assert (await GreeterStub(channel).SayHello(HelloRequest(name="you"), timeout=5)).text == "Hello, you!"
        process.terminate()
        await eventually(lambda: "health is NOT_SERVING" in process.log_text(), 5, "it begins to stop")
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send(number)
        await until_listed(kind, etcd, {}, 3, "the entry is gone")
        assert not kind.holds(etcd.address, f"/services/{GREETER}")
        assert await slow == "Hello, slow!"
        assert await asyncio.to_thread(process.wait_end, 10) == 0, process.log_end()
    words = ["stopping", "health is NOT_SERVING", "withdrawn: ", "finishing 1 calls under way", "server stopped"]
    places = [process.log_text().index(word) for word in words]
    assert places == sorted(places)
    assert process.log_text().rstrip().endswith("stopped")


@BOTH
async def test_killed_its_entry_goes_with_its_ttl_and_a_restart_takes_the_same_slot(
    etcd: Etcd, kind: Kind, tmp_path: Path
) -> None:
    with greeter(kind, etcd, tmp_path, INSTANCE="slot") as process:
        assert await entries(kind, etcd.address) == {"slot": process.address}
        process.kill()
        took = await until_listed(kind, etcd, {}, TTL + 3, "the entry is gone")
        assert took <= TTL + 1
        process.log.unlink()
        process.start()
        await until_listed(kind, etcd, {"slot": process.address}, 10, "it is back in its slot")


@BOTH
async def test_frozen_for_longer_than_its_ttl_it_comes_back_once(etcd: Etcd, kind: Kind, tmp_path: Path) -> None:
    with greeter(kind, etcd, tmp_path) as process:
        process.pause()
        await until_listed(kind, etcd, {}, TTL + 3, "the entry of a frozen process is gone")
        process.resume()
        await until_listed(kind, etcd, {process.address: process.address}, 5, "it is back")
        assert "no longer advertised" in process.log_text()


@BOTH
async def test_of_two_with_one_name_the_older_says_who_holds_the_entry(etcd: Etcd, kind: Kind, tmp_path: Path) -> None:
    with greeter(kind, etcd, tmp_path, INSTANCE="twin") as one, greeter(kind, etcd, tmp_path, INSTANCE="twin") as other:
        line = f"no longer advertised: {GREETER}/twin: the entry now holds {other.address}"
        await eventually(lambda: line in one.log_text(), TTL + 3, "the older one tells")
        assert await entries(kind, etcd.address) == {"twin": other.address}
        one.stop()
        assert await entries(kind, etcd.address) == {"twin": other.address}, "it does not delete what is another's"


@pytest.mark.parametrize("task", ["advertise", "follow the database", "watch the admission queue"])
async def test_a_task_that_ends_ends_the_process_in_order_with_1(etcd: Etcd, task: str, tmp_path: Path) -> None:
    with greeter(V2, etcd, tmp_path) as process:
        await asyncio.to_thread(process.says, f"end {task}")
        assert await asyncio.to_thread(process.wait_end, 10) == 1, process.log_end()
    log = process.log_text()
    assert f"the task '{task}" in log
    assert "has ended, without which this process does not do what it should" in log
    assert "server stopped" in log
    assert await entries(V2, etcd.address) == {}


async def test_begun_before_etcd_and_its_database_it_says_what_it_waits_for(tmp_path: Path) -> None:
    late, database = Etcd(tmp_path / "etcd", free_port()), tmp_path / "database"
    process = GreeterProcess(tmp_path, {"ETCD": late.address})
    process.environment["DATABASE"] = str(database)
    process.start()
    try:
        await eventually(lambda: f"waiting for etcd at {late.address}" in process.log_text(), 10, "it waits for etcd")
        with late:
            line = "waiting for the database: FileNotFoundError: no file"
            await eventually(lambda: line in process.log_text(), 10, "it waits for its database")
            assert await entries(V2, late.address) == {}
            database.touch()
            await until_listed(V2, late, {process.address: process.address}, 10, "it is advertised")
            database.unlink()
            await until_listed(V2, late, {}, 10, "without its database it is not")
            database.touch()
            await until_listed(V2, late, {process.address: process.address}, 10, "it is advertised again")
            process.stop()
            assert process.exit_code == 0, process.log_end()
    finally:
        process.stop()


@BOTH
async def test_with_an_etcd_that_takes_half_a_second_an_answer_no_entry_is_missing_and_no_call_fails(
    etcd: Etcd, kind: Kind, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(Proxy(etcd.address))
        slow.delay = 0.5
        both = [greeter(kind, etcd, tmp_path, TTL="5", ETCD=address) for address in (etcd.address, slow.address)]
        for each in both:
            stack.push_async_callback(asyncio.to_thread, each.stop)
            each.start()
        listed = {each.address: each.address for each in both}
        await until_listed(kind, etcd, listed, 15, "both are advertised")
        discovery = await stack.enter_async_context(Discovery(kind.settings(slow.address, client_empty_wait=0)))
        stub, answered = GreeterStub(discovery.channel(GREETER)), set()
        for _ in range(60):
            answered.add((await stub.SayHello(HelloRequest(name="you"), timeout=5)).instance)
            assert await entries(kind, etcd.address) == listed
            await asyncio.sleep(0.1)  # all of them take longer than an entry lives that is not renewed
        assert answered == {str(each.pid) for each in both}


async def test_reflection_is_left_out_where_the_settings_say_so_or_its_package_is_missing(
    etcd: Etcd, tmp_path: Path
) -> None:
    switched_off = greeter(V2, etcd, tmp_path, REFLECTION="false")
    missing = GreeterProcess(tmp_path, {"ETCD": etcd.address}, python_path=without("grpc_reflection", tmp_path))
    with switched_off, missing:
        for process in (switched_off, missing):
            async with grpc.aio.insecure_channel(process.address) as channel:
                for version in ("v1", "v1alpha"):
                    ask = channel.unary_stream(
                        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", bytes, bytes
                    )
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await anext(aiter(ask(b"", timeout=5)))
                    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "pip install grpc-discovery[reflection]" in missing.log_text()
        assert "reflection" not in switched_off.log_text()
