"""Driving a server and reading what it cost: CPU time and memory from /proc, latency from the time when a call was due."""

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from google.protobuf.message import Message
from grpc import aio

from benchmarks.calls import MeasuredCall, Rows, method

CALLERS = 32
_MB = 1024 * 1024


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all of its threads, in seconds, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(schedstat.read_text(encoding="ascii").split()[0]) for schedstat in threads) / 1e9


def resident_mb(pid: int | str) -> float:
    """Resident memory of a process (`self` for this one), megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the time when a call was due to its answer."""

    p50: float
    p99: float


async def measure_cpu(address: str, pid: int, call: MeasuredCall, rows: Rows, calls: int) -> float:
    """CPU time of the server's process for one call, in microseconds, with 32 callers, each of which waits for its answer."""
    async with aio.insecure_channel(address) as channel:
        ask = method(channel, call.service, call.name)
        requests = [call.request(rows) for _ in range(calls)]
        began = cpu_seconds(pid)

        async def caller() -> None:
            while requests:
                await ask(requests.pop())

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return (cpu_seconds(pid) - began) / calls * 1e6


async def measure_latency(address: str, call: MeasuredCall, rows: Rows, rate: float, seconds: float) -> Latency:
    """The latencies at `rate` calls a second that arrive at random times, whether or not earlier calls were answered."""
    latencies: list[float] = []
    async with aio.insecure_channel(address) as channel:
        ask = method(channel, call.service, call.name)
        await ask(call.request(rows))

        async def one(request: Message, due: float) -> None:
            await ask(request)
            latencies.append(time.perf_counter() - due)

        began = time.perf_counter()
        due, tasks = began, []
        while due < began + seconds:
            due += random.expovariate(rate)
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(asyncio.create_task(one(call.request(rows), due)))
        await asyncio.gather(*tasks)
    latencies.sort()
    return Latency(median(latencies) * 1000, latencies[int(len(latencies) * 0.99)] * 1000)
