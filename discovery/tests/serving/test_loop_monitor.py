"""How long the event loop is held is measured, told, and costs next to nothing."""

import asyncio
import logging
import time
from functools import partial
from typing import Any

import pytest
from grpc import aio

from discovery.tests.balancing.servers import GREETER
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Application, MemoryRegistry, Settings
from grpc_discovery.serving.loop_monitor import REST_AFTER_TICKS, TICK_SECONDS, LoopMonitor
from infra.ports import free_port


def compute(seconds: float) -> None:
    """Use so much CPU time of this thread in one go."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


def block(seconds: float) -> None:
    """Hold the loop without computing, as a call of a library without asyncio does."""
    time.sleep(seconds)


async def test_a_step_that_computes_is_measured_by_its_cpu_time() -> None:
    with LoopMonitor() as monitor:
        compute(0.06)
        await eventually(lambda: monitor.longest_hold > 0, 5, "a tick has come")
    assert 0.06 <= monitor.longest_hold < 0.1
    assert monitor.longest_lag > 0.03


async def test_many_short_steps_are_no_long_one() -> None:
    wall, cpu = time.monotonic(), time.thread_time()
    with LoopMonitor() as monitor:
        for _ in range(100):
            compute(0.002)
            await asyncio.sleep(0)
    # Between two ticks: all the time of a tick, or the share of it that a busy machine gave to this thread.
    share = (time.thread_time() - cpu) / (time.monotonic() - wall)
    assert 0.02 * share <= monitor.longest_hold < 0.04


async def test_a_step_that_blocks_is_no_work_but_a_lag_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with LoopMonitor() as monitor:
        block(0.15)
        await eventually(lambda: monitor.longest_lag > 0.1, 5, "the late tick has come")
    assert monitor.longest_hold < 0.05
    assert "the event loop was held for" in caplog.text


async def test_many_holds_make_one_line_and_are_counted_in_the_next(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_measured(monitor: LoopMonitor, lag: float) -> bool:
        return monitor.longest_lag > lag - TICK_SECONDS

    monkeypatch.setattr("grpc_discovery.serving.loop_monitor.LOG_EVERY_SECONDS", 1.5)
    with caplog.at_level(logging.WARNING), LoopMonitor() as monitor:
        for lag in (0.15, 0.16, 0.17, 1.6):
            # A lag before this one could be as long: two holds without a tick in between are one.
            monitor.reset()
            block(lag)
            await eventually(partial(is_measured, monitor, lag), 5, "the late tick has come")
    lines = [record.message for record in caplog.records]
    assert [line.rpartition("; ")[2] for line in lines] == [
        "0 more since the last such line",
        "2 more since the last such line",
    ]


async def test_what_was_measured_stays_when_it_ends_and_is_forgotten_when_asked() -> None:
    with LoopMonitor() as monitor:
        compute(0.03)
    assert monitor.longest_hold >= 0.03
    monitor.reset()
    assert (monitor.longest_hold, monitor.longest_lag) == (0.0, 0.0)
    compute(0.03)
    await asyncio.sleep(0.05)
    assert monitor.longest_hold == 0.0


async def test_it_rests_while_nothing_is_to_be_done_and_ticks_again_when_roused() -> None:
    asked, idle = 0, True

    def is_idle() -> bool:
        nonlocal asked
        asked += 1
        return idle

    with LoopMonitor(0.001, is_idle) as monitor:
        await eventually(lambda: asked >= REST_AFTER_TICKS, 5, "it was idle for long enough")
        await asyncio.sleep(0.05)
        assert asked == REST_AFTER_TICKS
        idle = False
        monitor.rouse()
        compute(0.03)
        await eventually(lambda: monitor.longest_hold >= 0.03, 5, "it ticks again")


async def test_while_it_ticks_it_costs_less_than_a_hundredth_of_a_core() -> None:
    ticks = 0

    def count() -> bool:
        nonlocal ticks
        ticks += 1
        return False

    with LoopMonitor(0.0001, count):
        began = time.thread_time()
        for _ in range(500):
            await asyncio.sleep(0.001)
        cpu = time.thread_time() - began
    assert ticks > 100
    assert cpu / ticks < TICK_SECONDS / 100


async def test_an_application_has_one_while_it_serves() -> None:
    class Greeter(GreeterServicer):
        async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
            compute(0.06)
            return HelloReply()

    port = free_port()
    settings = Settings.from_environment("TEST_", {}, listen_port=port, withdraw_wait=0)
    application = Application("greeter", settings, registry=(registry := MemoryRegistry()))
    application.add(Greeter(), add_GreeterServicer_to_server, GREETER)
    with pytest.raises(RuntimeError):
        _ = application.loop_monitor
    stop = asyncio.Event()
    life = asyncio.create_task(application.serve(stop))
    await eventually(lambda: bool(registry.entries), 10, "it is advertised")
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = GreeterStub(channel)
        await stub.SayHello(HelloRequest(name="you"), timeout=5)
    await eventually(lambda: application.loop_monitor.longest_hold >= 0.06, 5, "the call's step was measured")
    stop.set()
    await life
    assert application.loop_monitor.longest_hold >= 0.06
