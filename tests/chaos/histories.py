"""Histories: what 20 callers are told while one thing fails is what one video, or one address, could have told them one after the other."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

from client import Services
from infra.processes import Process
from tests.chaos.judging import Judge
from tests.chaos.recording import Recorder
from tests.chaos.world import Measurement, World
from tests.processes import SERVICES, ServiceProcess

PROMISE = "data"
SLUGS = ("ratings", "user_management", "video_catalog")
RUNS = 30
SECONDS = 40.0
_BEFORE_SECONDS, _AWAY_SECONDS = 10.0, 5.0
_MIN_ANSWERED = 50

FAULTS: dict[str, Callable[[Process], None]] = {
    "killed": Process.kill,
    "paused": Process.pause,
    "restarted": Process.stop,
}


async def histories(world: World) -> list[Measurement]:
    """Runs in turn with each fault of a service and of Cassandra."""
    judge = await asyncio.to_thread(Judge, world.folder)
    faults = itertools.cycle(itertools.product(("a service", "Cassandra"), FAULTS))
    rows = []
    async with instances(world) as (victim, _):
        for number, (what, fault) in zip(range(1, RUNS + 1), faults, strict=False):
            process: Process = victim if what == "a service" else world.cassandra
            row = await one_run(world, judge, process, fault, SECONDS)
            row.fault = f"run {number}, {what} is {fault}: {row.fault}"
            rows.append(row)
    return rows


@asynccontextmanager
async def instances(world: World, module: str = "services") -> AsyncIterator[tuple[ServiceProcess, ServiceProcess]]:
    """Two processes with the three services each, which serve and are advertised; `module` is what they run."""
    async with AsyncExitStack() as stack:
        both = [ServiceProcess(SLUGS, world.folder, world.environment) for _ in range(2)]
        for process in both:
            process.command[process.command.index("services")] = module
        for process in both:
            process.start()
            stack.push_async_callback(asyncio.to_thread, process.stop)
        for process in both:
            await world.until(process.is_ready, 120, f"{process.name} serves")
        yield both[0], both[1]


async def one_run(world: World, judge: Judge, process: Process, fault: str, seconds: float) -> Measurement:
    """So many seconds of calls, with one fault of a process, judged."""
    recorder = await record(world, seconds, _disturb(world, process, fault))
    verdict = await asyncio.to_thread(judge.verdict, recorder.history)
    note = (
        f"{recorder.answered} of {len(recorder.history)} calls answered, {verdict.linearizable} histories linearizable"
    )
    details = f"; {'; '.join(verdict.details)}" if verdict.details else ""
    illegal = verdict.illegal + verdict.undecided
    enough = recorder.answered >= _MIN_ANSWERED
    return Measurement(PROMISE, "illegal or undecided histories", 0, illegal, "", f"{note}{details}", holds=enough)


async def record(world: World, seconds: float, disturbance: Coroutine[None, None, None] | None = None) -> Recorder:
    """So many seconds of calls, with a disturbance after a while; at the end everything is read once more."""
    before = min(_BEFORE_SECONDS, seconds / 3)
    async with Services.from_settings(world.settings()) as services:
        for slug in SLUGS:
            await services.listed(SERVICES[slug])
        recorder = Recorder(services)
        async with recorder:
            await asyncio.sleep(before)
            disturbing = asyncio.create_task(disturbance) if disturbance else None
            await asyncio.sleep(seconds - before)
            if disturbing:
                await disturbing
        await recorder.read_everything()
    return recorder


async def _disturb(world: World, process: Process, fault: str) -> None:
    """Do the fault, and undo it after a while; returns when the process serves again."""
    await asyncio.to_thread(FAULTS[fault], process)
    await asyncio.sleep(_AWAY_SECONDS)
    await asyncio.to_thread(process.resume if process.alive else process.start)
    await world.until(process.is_ready, 300, f"{process.name} serves again")
