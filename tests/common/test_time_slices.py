"""Long computations in slices: what else there is to do waits for one slice, however many compute."""

import asyncio
import time

from common.time_slices import SLICE_SECONDS, checkpoint
from grpc_discovery.serving.loop_monitor import LoopMonitor


async def compute(seconds: float) -> None:
    """Use so much CPU time, with a checkpoint each tenth of a millisecond."""
    used = 0.0
    while used < seconds:
        await checkpoint()
        began = time.thread_time()
        while time.thread_time() - began < 0.0001:
            pass
        used += time.thread_time() - began


async def test_ten_that_compute_at_once_hold_the_loop_for_one_slice_at_a_time() -> None:
    with LoopMonitor(0.001) as monitor:
        await asyncio.gather(*(compute(0.03) for _ in range(10)))
    assert monitor.longest_hold < SLICE_SECONDS * 3


async def test_short_work_is_done_in_one_go() -> None:
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    before = rounds
    for _ in range(10):
        await checkpoint()
    assert rounds == before
    counting.cancel()


async def test_one_that_is_cancelled_gives_its_turn_away() -> None:
    tasks = [asyncio.create_task(compute(0.02)) for _ in range(5)]
    await asyncio.sleep(SLICE_SECONDS * 2)
    for task in tasks[1:4]:
        task.cancel()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert [type(outcome) for outcome in outcomes] == [type(None), *[asyncio.CancelledError] * 3, type(None)]


def test_each_loop_has_turns_of_its_own() -> None:
    for _ in range(2):
        asyncio.run(compute(0.02))


async def test_a_checkpoint_costs_next_to_nothing() -> None:
    async def many() -> float:
        began = time.thread_time()
        for _ in range(1000):
            await checkpoint()
        return time.thread_time() - began

    assert min([await many() for _ in range(5)]) / 1000 < 20e-6
