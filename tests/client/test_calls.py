"""Calls over several instances: spread, moved, repeated or not, on real gRPC servers in this process."""

import asyncio
import time
from collections import Counter

import grpc
import pytest
from grpc import aio

from client import BlockingServices, Services
from client.budget import Budget
from client.methods import may_be_repeated
from common.settings import Settings
from protos import comments_pb2 as comments
from protos import statistics_pb2
from tests.client.servers import Instance, instances
from tests.common.etcds import eventually
from tests.proxy import Proxy

QUESTION = comments.GetVideoCommentsRequest(page_size=5)
PLAYED = statistics_pb2.RecordPlaybackStartedRequest()


def at(*addresses: str) -> Settings:
    """Settings of a caller with a fixed list."""
    listed = ",".join(addresses)
    values = {"discovery": "static", "static_services": f"CommentsService={listed};StatisticsService={listed}"}
    return Settings(**values)  # type: ignore[arg-type]  # pydantic checks them


async def all_serving(services: Services, count: int) -> None:
    pool = services.pool("CommentsService")
    await eventually(lambda: len(pool._ready) == count, 5, "all instances can be chosen")


async def ask(services: Services, times: int, timeout: float = 5.0) -> Counter[str]:
    """Ask so often, side by side, and count who answered."""
    answers = await asyncio.gather(
        *(services.comments.GetVideoComments(QUESTION, timeout=timeout) for _ in range(times))
    )
    return Counter(answer.paging_state for answer in answers)


async def test_calls_spread_over_all_instances_and_one_that_is_added_gets_its_share() -> None:
    async with instances(3) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 3)
        counts = await ask(services, 300)
        assert all(counts[each.address] > 60 for each in running), counts


async def test_the_less_busy_instance_is_taken() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        running[0].takes = 0.3
        began = time.monotonic()
        answers: Counter[str] = Counter()
        while time.monotonic() - began < 1:
            answers += await ask(services, 4)
        assert answers[running[1].address] >= answers[running[0].address]


async def test_a_call_waits_for_the_first_instance_to_come() -> None:
    late = Instance()
    async with Services.from_settings(at(late.address)) as services:
        call = asyncio.create_task(ask(services, 1, timeout=10))
        await asyncio.sleep(0)
        await late.start()
        assert (await call)[late.address] == 1
    await late.stop()


async def test_without_any_instance_a_call_ends_at_its_deadline_and_says_why() -> None:
    async with Services.from_settings(at("127.0.0.1:1")) as services:
        began = time.monotonic()
        with pytest.raises(aio.AioRpcError) as refusal:
            await services.comments.GetVideoComments(QUESTION, timeout=0.5)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "CommentsService" in str(refusal.value.details())
        assert 0.4 < time.monotonic() - began < 2


async def test_no_call_fails_while_an_instance_stops_and_comes_back_on_its_port() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        calls: list[asyncio.Task[Counter[str]]] = []
        for step in range(60):
            if step == 10:
                await running[0].stop(1)
            if step == 30:
                running[0] = Instance(running[0].port)
                await running[0].start()
            calls += [asyncio.create_task(ask(services, 1)) for _ in range(3)]
            await asyncio.sleep(0.02)
        await asyncio.gather(*calls)
        await all_serving(services, 2)
        assert (await ask(services, 50))[running[0].address] > 5
        await running[0].stop()


async def test_an_instance_that_says_it_does_not_serve_gets_no_calls_until_it_does() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        await running[0].set_health(False)
        await all_serving(services, 1)
        assert running[0].address not in await ask(services, 50)
        await running[0].set_health(True)
        await all_serving(services, 2)
        assert running[0].address in await ask(services, 50)


async def test_where_nobody_serves_one_of_them_tells_why() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        for each in running:
            await each.set_health(False)
            each.status = grpc.StatusCode.UNAVAILABLE
        began = time.monotonic()
        with pytest.raises(aio.AioRpcError) as refusal:
            await services.comments.GetVideoComments(QUESTION, timeout=10)
        assert refusal.value.details() == "as the test wants it"
        assert time.monotonic() - began < 5


async def test_a_read_is_repeated_elsewhere_and_a_play_never() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        running[0].status = grpc.StatusCode.UNAVAILABLE
        for _ in range(10):
            assert running[1].address in await ask(services, 1)
        before = running[0].asked + running[1].asked
        failed = 0
        for _ in range(20):
            try:
                await services.statistics.RecordPlaybackStarted(PLAYED, timeout=5)
            except aio.AioRpcError:
                failed += 1
        assert running[0].asked + running[1].asked - before == 20, "each play was sent once"
        assert failed >= 1


async def test_repeating_stays_within_a_tenth_of_the_calls() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        for each in running:
            each.status = grpc.StatusCode.UNAVAILABLE
        refused = await asyncio.gather(*(ask(services, 1) for _ in range(200)), return_exceptions=True)
        assert all(isinstance(each, aio.AioRpcError) for each in refused)
        asked = sum(each.asked for each in running)
        assert 200 < asked <= 200 * 1.1 + 10


async def test_an_instance_that_keeps_failing_is_left_and_returns_when_it_is_well() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        running[0].status = grpc.StatusCode.INTERNAL
        for _ in range(60):
            await asyncio.gather(ask(services, 1), return_exceptions=True)
        await all_serving(services, 1)
        running[0].status = None
        asked = running[0].asked
        await ask(services, 20)
        assert running[0].asked == asked
        await all_serving(services, 2)
        assert running[0].address in await ask(services, 50)


async def test_an_instance_that_answers_nothing_but_health_checks_is_left() -> None:
    async with instances(2) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 2)
        running[0].takes = 60
        refused = await asyncio.gather(*(ask(services, 1, timeout=0.8) for _ in range(20)), return_exceptions=True)
        assert any(isinstance(each, aio.AioRpcError) for each in refused)
        await all_serving(services, 1)
        assert (await ask(services, 10, timeout=0.8))[running[1].address] == 10


async def test_never_more_than_half_of_the_instances_are_left() -> None:
    async with instances(3) as running, Services.from_settings(at(*(each.address for each in running))) as services:
        await all_serving(services, 3)
        for each in running:
            each.status = grpc.StatusCode.INTERNAL
        await asyncio.gather(*(ask(services, 1) for _ in range(100)), return_exceptions=True)
        assert len(services.pool("CommentsService")._ready) == 2


async def test_a_hung_instance_is_left_within_a_second_and_its_reads_are_answered_by_another() -> None:
    async with instances(2) as running, Proxy(running[0].address) as proxy:
        async with Services.from_settings(at(proxy.address, running[1].address)) as services:
            await all_serving(services, 2)
            proxy.fall_silent()
            began = time.monotonic()
            while time.monotonic() - began < 1.5:
                asked = time.monotonic()
                answers = await ask(services, 2)
                assert set(answers) == {running[1].address}
                assert time.monotonic() - asked < 2
            await all_serving(services, 1)
            proxy.heal()
            await all_serving(services, 2)


async def test_a_cancelled_call_is_cancelled_and_not_made_again() -> None:
    async with instances(1) as running, Services.from_settings(at(running[0].address)) as services:
        await all_serving(services, 1)
        running[0].takes = 5
        call = asyncio.create_task(ask(services, 1))
        await eventually(lambda: running[0].asked == 1, 5, "the call is under way")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert services.pool("CommentsService").endpoints[running[0].address].calls == 0


async def test_calls_under_way_finish_on_an_instance_that_leaves_the_list() -> None:
    async with instances(2) as running, Services.from_settings(at(running[0].address)) as services:
        await all_serving(services, 1)
        running[0].takes = 0.5
        call = asyncio.create_task(ask(services, 1))
        await eventually(lambda: running[0].asked == 1, 5, "the call is under way")
        services.pool("CommentsService").set([running[1].address])
        assert (await call)[running[0].address] == 1
        assert running[1].address in await ask(services, 1)


def test_programs_without_asyncio_call_in_the_same_way() -> None:
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with instances(1) as running:
            settings = at(running[0].address)

            def call() -> str:
                with BlockingServices.from_settings(settings) as services:
                    answer: comments.GetVideoCommentsResponse = services.comments.GetVideoComments(QUESTION, timeout=5)
                    with pytest.raises(AttributeError):
                        _ = services.nothing
                    return answer.paging_state

            assert await asyncio.to_thread(call) == running[0].address

    try:
        loop.run_until_complete(serve())
    finally:
        loop.close()


def test_plays_and_new_users_are_never_sent_twice_and_all_else_may_be() -> None:
    assert not may_be_repeated("/killrvideo.statistics.StatisticsService/RecordPlaybackStarted")
    assert not may_be_repeated("CreateUser")
    assert may_be_repeated("/killrvideo.comments.CommentsService/CommentOnVideo")
    assert may_be_repeated("GetVideo")


def test_the_budget_pays_one_repetition_for_ten_calls() -> None:
    budget = Budget()
    while budget.take():
        pass
    for _ in range(100):
        budget.call_made()
    assert sum(budget.take() for _ in range(100)) in (9, 10)
