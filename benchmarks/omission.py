"""What a closed loop leaves out: `python -m benchmarks.omission`.

A comments service gets a hundred calls a second for twenty seconds, and is paused for two of them: once from a plain loop, which waits for each
answer, pauses, and asks again; and once as `loadtest/` does it, at times that do not depend on the answers.
"""

import argparse
import asyncio
import random
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from grpc import aio
from rich.console import Console

from benchmarks.calls import Rows, call_named, method
from benchmarks.servers import ServerProcess, open_cassandra, run_service

RATE, SECONDS = 100.0, 20.0
PAUSE_AFTER, PAUSE_SECONDS = 8.0, 2.0

Ask = Callable[[], Awaitable[Any]]


async def closed_loop(ask: Ask) -> list[float]:
    """One caller that waits for its answers. Returns the seconds of each call from when it was sent."""
    latencies: list[float] = []
    until = time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < until:
        await ask()
        latencies.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, 1 / RATE - latencies[-1]))
    return latencies


async def open_arrivals(ask: Ask) -> list[float]:
    """Calls that arrive at random times. Returns the seconds of each call from when it was due."""
    latencies: list[float] = []

    async def one(due: float) -> None:
        await ask()
        latencies.append(time.perf_counter() - due)

    due = began = time.perf_counter()
    tasks = []
    while (due := due + random.expovariate(RATE)) < began + SECONDS:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return latencies


async def pause(server: ServerProcess) -> None:
    """Pause the server for a while, in the middle of the run."""
    await asyncio.sleep(PAUSE_AFTER)
    server.send(signal.SIGSTOP)
    await asyncio.sleep(PAUSE_SECONDS)
    server.resume()


async def run(arguments: argparse.Namespace) -> None:
    """Measure with both loops, one after the other."""
    console = Console(width=120)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-omission-")))
        point = stack.enter_context(open_cassandra(arguments.cassandra, folder))
        server = stack.enter_context(run_service("comments", "auto", point, folder))
        call, rows = call_named("GetVideoComments"), Rows()
        async with aio.insecure_channel(server.address) as channel:
            ask = method(channel, call.service, call.name)
            for name, loop in (("a closed loop", closed_loop), ("open arrivals", open_arrivals)):
                pausing = asyncio.create_task(pause(server))
                latencies = sorted(await loop(lambda: ask(call.request(rows))))
                await pausing
                figures = "  ".join(
                    f"p{share * 100:g} {latencies[int(len(latencies) * share)] * 1000:,.1f} ms"
                    for share in (0.5, 0.9, 0.99, 0.999)
                )
                console.print(
                    f"{name}: {len(latencies):,} calls  {figures}  longest {latencies[-1] * 1000:,.0f} ms",
                    highlight=False,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.omission", description=__doc__)
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    uvloop.run(run(parser.parse_args()))
