"""Calls over several instances: spread, moved, repeated or not, on real gRPC servers in this process."""

import asyncio
import logging
import time
from collections import Counter

import grpc
import pytest
from grpc import aio

from discovery.tests.balancing.callers import HELLO, calling
from discovery.tests.balancing.servers import GREETER, Instance, instances
from discovery.tests.proxy import Proxy
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloRequest
from grpc_discovery.balancing.endpoint import Ejection, Health
from infra.ports import free_port


async def test_calls_spread_over_all_instances() -> None:
    async with instances(3) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(3)
        counts = await caller.ask(300)
        assert all(counts[each.address] > 60 for each in running), counts


async def test_the_less_busy_instance_is_taken() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        running[0].takes = 0.3
        began = time.monotonic()
        answers: Counter[str] = Counter()
        while time.monotonic() - began < 1:
            answers += await caller.ask(4)
        assert answers[running[1].address] >= answers[running[0].address]


async def test_a_call_waits_for_the_first_instance_to_come() -> None:
    late = Instance()
    async with calling(late.address) as caller:
        call = asyncio.create_task(caller.ask(1, timeout=10))
        await asyncio.sleep(0)
        await late.start()
        assert (await call)[late.address] == 1
    await late.stop()


async def test_without_any_instance_a_call_ends_at_its_deadline_and_says_why() -> None:
    async with calling("127.0.0.1:1") as caller:
        began = time.monotonic()
        with pytest.raises(aio.AioRpcError) as refusal:
            await caller.hello(timeout=0.5)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        assert GREETER in str(refusal.value.details())
        assert "127.0.0.1:1 is" in str(refusal.value.details())
        assert 0.4 < time.monotonic() - began < 2


async def test_a_stream_waits_for_an_instance_no_longer_than_a_call_takes() -> None:
    async with calling("127.0.0.1:1", call_timeout=0.4) as caller:
        began = time.monotonic()
        with pytest.raises(aio.AioRpcError) as refusal:
            await caller.stub.SayHelloOften(HELLO).read()
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        assert 0.3 < time.monotonic() - began < 2


async def test_no_call_fails_while_an_instance_stops_and_comes_back_on_its_port() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        calls: list[asyncio.Task[Counter[str]]] = []
        for step in range(60):
            if step == 10:
                await running[0].stop(1)
            if step == 30:
                running[0] = Instance(running[0].port)
                await running[0].start()
            calls += [asyncio.create_task(caller.ask(1)) for _ in range(3)]
            await asyncio.sleep(0.02)
        await asyncio.gather(*calls)
        await caller.until_ready(2)
        assert (await caller.ask(50))[running[0].address] > 5
        await running[0].stop()


async def test_an_instance_that_says_it_does_not_serve_gets_no_calls_until_it_does() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        await running[0].set_health(False)
        await caller.until_ready(1)
        assert running[0].address not in await caller.ask(50)
        await running[0].set_health(True)
        await caller.until_ready(2)
        assert running[0].address in await caller.ask(50)


async def test_where_nobody_serves_one_of_them_tells_why() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        for each in running:
            await each.set_health(False)
            each.status = grpc.StatusCode.UNAVAILABLE
        began = time.monotonic()
        with pytest.raises(aio.AioRpcError) as refusal:
            await caller.hello(timeout=10)
        assert refusal.value.details() == "as the test wants it"
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("names", [[""], []], ids=["as a whole only", "of no name"])
async def test_a_server_that_does_not_know_its_services_health_is_called_all_the_same(names: list[str]) -> None:
    instance = Instance()
    instance.health_names = names
    await instance.start()
    async with calling(instance.address) as caller:
        assert (await caller.ask(3))[instance.address] == 3
    await instance.stop()


async def test_a_server_without_a_health_service_serves_while_it_is_connected() -> None:
    instance = Instance(tells_health=False)
    await instance.start()
    async with calling(instance.address) as caller:
        assert (await caller.ask(3))[instance.address] == 3
        await instance.stop()
        endpoint = caller.pool.endpoints[instance.address]
        await eventually(lambda: endpoint.health is Health.AWAY, 5, "it is known to be away")


async def test_what_is_declared_idempotent_is_repeated_elsewhere_and_nothing_else_is() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        running[0].status = grpc.StatusCode.UNAVAILABLE
        for _ in range(3):  # fewer failures than make it ejected
            assert running[1].address in await caller.ask(1)
        before = running[0].asked + running[1].asked
        failed = 0
        for _ in range(20):
            try:
                await caller.stub.SignGuestbook(HELLO, timeout=5)
            except aio.AioRpcError:
                failed += 1
        assert running[0].asked + running[1].asked - before == 20, "each was sent once"
        assert failed >= 1


async def test_a_stream_is_repeated_before_its_first_response_and_not_after_it() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        running[0].status = grpc.StatusCode.UNAVAILABLE
        for _ in range(5):
            replies = [reply async for reply in caller.stub.SayHelloOften(HelloRequest(name="you", times=2), timeout=5)]
            assert [reply.instance for reply in replies] == [running[1].address] * 2
        running[0].status = None
        asked = running[0].asked + running[1].asked
        call = caller.stub.SayHelloOften(HelloRequest(name="break", times=2), timeout=5)
        await call.read()
        with pytest.raises(aio.AioRpcError, match="in the middle"):
            await call.read()
        assert running[0].asked + running[1].asked == asked + 1


async def test_repeating_stays_within_a_tenth_of_the_calls() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        for each in running:
            each.status = grpc.StatusCode.UNAVAILABLE
        refused = await asyncio.gather(*(caller.ask(1) for _ in range(200)), return_exceptions=True)
        assert all(isinstance(each, aio.AioRpcError) for each in refused)
        assert 200 < sum(each.asked for each in running) <= 200 * 1.1 + 10


async def test_cancelled_by_an_instance_that_serves_is_the_answer() -> None:
    """A server or a proxy may answer CANCELLED after the work was done: once repeated, it would be done many times."""
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        for each in running:
            each.status = grpc.StatusCode.CANCELLED
        for call in (caller.stub.SignGuestbook, caller.stub.SayHello):
            asked = sum(each.asked for each in running)
            with pytest.raises(aio.AioRpcError) as refusal:
                await call(HELLO, timeout=5)
            assert refusal.value.code() is grpc.StatusCode.CANCELLED
            assert sum(each.asked for each in running) == asked + 1


async def test_cancelled_by_an_instance_that_is_stopping_means_not_begun_but_only_once_a_call() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        for each in running:
            each.status = grpc.StatusCode.CANCELLED
            each.takes = 0.3
        call = caller.stub.SignGuestbook(HELLO, timeout=5)
        await eventually(lambda: sum(each.asked for each in running) == 1, 2, "the call is under way")
        first, second = sorted(running, key=lambda each: -each.asked)
        await first.set_health(False)
        with pytest.raises(aio.AioRpcError) as refusal:
            await call
        assert refusal.value.code() is grpc.StatusCode.CANCELLED
        assert (first.asked, second.asked) == (1, 1)


@pytest.mark.parametrize("where", ["request", "answer"])
async def test_a_message_that_is_too_large_is_never_sent_again(where: str) -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        times = 1 if where == "request" else 70
        request = HelloRequest(name="x" * 5_000_000 if where == "request" else "x" * 1_000_000, times=times)
        with pytest.raises(aio.AioRpcError) as refusal:
            await caller.stub.SayHello(request, timeout=20)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert sum(each.asked for each in running) == (0 if where == "request" else 1)


async def test_an_instance_that_keeps_failing_is_ejected_and_returns_when_it_is_well() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        running[0].status = grpc.StatusCode.INTERNAL
        for _ in range(60):
            await asyncio.gather(caller.ask(1), return_exceptions=True)
        await caller.until_ready(1)
        assert caller.pool.endpoints[running[0].address].ejected is Ejection.FAILING
        running[0].status = None
        asked = running[0].asked
        await caller.ask(20)
        assert running[0].asked == asked
        await caller.until_ready(2)
        assert running[0].address in await caller.ask(50)


async def test_an_instance_that_answers_nothing_but_health_checks_is_ejected() -> None:
    async with instances(2) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(2)
        running[0].takes = 60
        refused = await asyncio.gather(*(caller.ask(1, timeout=0.8) for _ in range(20)), return_exceptions=True)
        assert any(isinstance(each, aio.AioRpcError) for each in refused)
        await caller.until_ready(1)
        assert (await caller.ask(10, timeout=0.8))[running[1].address] == 10


async def test_never_more_than_half_of_the_instances_are_ejected() -> None:
    async with instances(3) as running, calling(*(each.address for each in running)) as caller:
        await caller.until_ready(3)
        for each in running:
            each.status = grpc.StatusCode.INTERNAL
        await asyncio.gather(*(caller.ask(1) for _ in range(100)), return_exceptions=True)
        assert len(caller.pool._ready) == 2


async def test_a_hung_instance_is_ejected_within_a_second_and_its_calls_are_answered_by_another() -> None:
    async with (
        instances(2) as running,
        Proxy(running[0].address) as proxy,
        calling(proxy.address, running[1].address) as caller,
    ):
        await caller.until_ready(2)
        proxy.fall_silent()
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            asked = time.monotonic()
            assert set(await caller.ask(2)) == {running[1].address}
            assert time.monotonic() - asked < 2
        await caller.until_ready(1)
        proxy.heal()
        await caller.until_ready(2)


async def test_a_cancelled_call_is_cancelled_and_not_made_again() -> None:
    async with instances(1) as running, calling(running[0].address) as caller:
        await caller.until_ready(1)
        running[0].takes = 5
        call = asyncio.create_task(caller.ask(1))
        await eventually(lambda: running[0].asked == 1, 5, "the call is under way")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert caller.pool.endpoints[running[0].address].calls == 0


async def test_calls_under_way_finish_on_an_instance_that_leaves_the_list() -> None:
    async with instances(2) as running, calling(running[0].address) as caller:
        await caller.until_ready(1)
        running[0].takes = 0.5
        call = asyncio.create_task(caller.ask(1))
        await eventually(lambda: running[0].asked == 1, 5, "the call is under way")
        caller.pool.set_addresses([running[1].address])
        assert (await call)[running[0].address] == 1
        assert running[1].address in await caller.ask(1)


async def test_closing_ends_also_what_waits_for_its_last_calls() -> None:
    """An instance that has left the list and still works on a call must not be followed for ever."""
    before = asyncio.all_tasks()
    async with instances(1) as running:
        async with calling(running[0].address) as caller:
            await caller.until_ready(1)
            running[0].takes = 60
            call = asyncio.ensure_future(caller.hello(60))
            await eventually(lambda: running[0].asked == 1, 5, "the call is under way")
            caller.pool.set_addresses([])
        with pytest.raises((asyncio.CancelledError, aio.AioRpcError)):
            await call
        names = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not [name for name in names if running[0].address in name]


async def test_a_fault_that_nobody_foresaw_is_logged_and_the_health_is_followed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with instances(1) as running, calling(running[0].address) as caller:
        await caller.until_ready(1)
        endpoint = caller.pool.endpoints[running[0].address]
        checks, endpoint._checks = endpoint._checks, None
        with caplog.at_level(logging.ERROR):
            endpoint.mark_unreachable()
            await eventually(lambda: "the watch on the health" in caplog.text, 5, "the fault is logged")
        endpoint._checks = checks
        await caller.until_ready(1)


async def test_two_live_instances_are_found_beside_a_thousand_dead_ones() -> None:
    async with instances(2) as running:
        dead = [f"127.0.{number // 250 + 1}.{number % 250 + 1}:1" for number in range(1000)]
        async with calling(*dead, *(each.address for each in running)) as caller:
            answers = await asyncio.gather(*(caller.hello(timeout=5) for _ in range(20)))
            assert {reply.instance for reply in answers} <= {each.address for each in running}


async def test_a_caller_takes_a_subset_and_the_next_in_rank_for_one_that_fails() -> None:
    async with instances(6) as running, calling(*(each.address for each in running), client_max_endpoints=2) as caller:
        await caller.until_ready(2)
        assert len(caller.pool.endpoints) == 2
        [first, _] = caller.pool.endpoints
        failing = next(each for each in running if each.address == first)
        await failing.set_health(False)
        await eventually(lambda: len(caller.pool.endpoints) == 3, 5, "another takes its part")
        await caller.until_ready(2)
        assert first not in await caller.ask(50)
        await failing.set_health(True)
        await eventually(lambda: len(caller.pool.endpoints) == 2, 5, "the stand-in is let go")
        assert first in caller.pool.endpoints


async def test_entries_that_are_no_addresses_are_told_once_and_never_called(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with instances(1) as running, calling(running[0].address) as caller:
            wrong = ["unix:/any.sock", "dns://server/name", "0.0.0.0:80", "host", "a b:1", "h:1\n2"]
            for number, text in enumerate(wrong):
                caller.registry.put(GREETER, f"wrong-{number}", text)
            await caller.until_ready(1)
            caller.registry.put(GREETER, "more", "127.0.0.1:1")
            await eventually(lambda: len(caller.pool.endpoints) == 2, 5, "the list has come")
            assert set(caller.pool.endpoints) == {running[0].address, "127.0.0.1:1"}
    for number in range(len(wrong)):
        assert caplog.text.count(f"the entry wrong-{number} is left out") == 1
    assert "\n2" not in caplog.text


async def test_instances_on_ipv6_are_called() -> None:
    instance = Instance(free_port(), host="::1")
    await instance.start()
    async with calling(f"[::1]:{instance.port}") as caller:
        assert (await caller.ask(2)).total() == 2
    await instance.stop()
