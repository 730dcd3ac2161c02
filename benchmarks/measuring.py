"""Driving a server and reading what it cost: CPU time and memory from /proc, latency from the moment a call was meant to start."""

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from grpc import aio

from benchmarks.calls import Call, Rows, method

CALLERS = 32
_MB = 1024 * 1024


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all of its threads, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in threads) / 1e9


def resident_mb(pid: int | str) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the moment a call was meant to start to its answer."""

    p50: float
    p99: float


async def cost(address: str, pid: int, call: Call, rows: Rows, calls: int) -> float:
    """CPU time of the server's process for one call, in microseconds, with 32 callers that each wait for their answer."""
    async with aio.insecure_channel(address) as channel:
        ask = method(channel, call.service, call.name)
        requests = [call.request(rows) for _ in range(calls)]
        began = cpu_seconds(pid)

        async def caller() -> None:
            while requests:
                await ask(requests.pop())

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return (cpu_seconds(pid) - began) / calls * 1e6


async def latency(address: str, call: Call, rows: Rows, rate: float, seconds: float) -> Latency:
    """The latencies at a fixed rate of arrivals at random moments, whether or not earlier calls have been answered."""
    took: list[float] = []
    async with aio.insecure_channel(address) as channel:
        ask = method(channel, call.service, call.name)
        await ask(call.request(rows))

        async def one(request: Any, meant: float) -> None:
            await ask(request)
            took.append(time.perf_counter() - meant)

        began = time.perf_counter()
        meant, tasks = began, []
        while meant < began + seconds:
            meant += random.expovariate(rate)
            await asyncio.sleep(meant - time.perf_counter())
            tasks.append(asyncio.create_task(one(call.request(rows), meant)))
        await asyncio.gather(*tasks)
    took.sort()
    return Latency(median(took) * 1000, took[int(len(took) * 0.99)] * 1000)
