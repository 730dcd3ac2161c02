"""Whose time was up when something took too long, and work that no deadline ends."""

import asyncio
from contextvars import copy_context

import pytest

from discovery.tests.waiting import eventually
from grpc_discovery import DeadlineExceeded, ServiceError, Unavailable, shielded, start_shielded
from grpc_discovery.serving.deadlines import finish_shielded, set_time_left, time_left, waited_too_long


def told(left: float | None) -> ServiceError:
    """What a caller with so many seconds left is told."""

    def call() -> ServiceError:
        set_time_left(left)
        return waited_too_long("ours")

    return copy_context().run(call)


@pytest.mark.parametrize("left", [-1.0, 0.0, 0.001])
def test_it_was_the_deadline_that_passes_just_now_though_a_timer_fired_a_little_early(left: float) -> None:
    assert isinstance(told(left), DeadlineExceeded)


@pytest.mark.parametrize("left", [None, 5.0])
def test_it_was_our_patience_where_the_caller_has_time_left(left: float | None) -> None:
    error = told(left)
    assert isinstance(error, Unavailable)
    assert error.message == "ours"


async def test_time_left_is_the_callers_or_ours_and_nothing_is_begun_without_any() -> None:
    assert time_left(7.0) == 7.0
    set_time_left(3.0)
    assert 2.9 < time_left(7.0) <= 3.0
    assert time_left(1.0) == 1.0
    set_time_left(0.0)
    with pytest.raises(DeadlineExceeded):
        time_left(1.0)


async def test_shielded_work_has_no_deadline_and_outlives_a_caller_that_leaves() -> None:
    steps: list[float] = []
    go_on = asyncio.Event()

    async def work() -> str:
        steps.append(time_left(9.0))
        await go_on.wait()
        steps.append(time_left(9.0))
        return "done"

    async def call() -> str:
        set_time_left(0.0)
        return await shielded(work())

    caller = asyncio.create_task(call())
    other = asyncio.create_task(call())
    await eventually(lambda: len(steps) == 2, 5, "both have begun")
    caller.cancel()
    await asyncio.wait([caller])
    assert await finish_shielded(0.01) == 2
    go_on.set()
    assert await finish_shielded(5) == 0
    assert await other == "done"
    assert steps == [9.0] * 4


async def test_work_that_shielded_work_begins_is_waited_for_and_has_no_deadline() -> None:
    steps: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0.05)
        time_left(1.0)  # raises where there is a deadline that has passed
        steps.append("second")

    async def first() -> None:
        await asyncio.sleep(0.05)
        start_shielded(second())
        steps.append("first")

    async def call() -> None:
        set_time_left(0.0)
        start_shielded(first())

    await asyncio.create_task(call())
    assert await finish_shielded(5) == 0
    assert steps == ["first", "second"]
