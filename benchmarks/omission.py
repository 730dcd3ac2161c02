"""What a closed loop leaves out: `python -m benchmarks.omission`.

A comments service is asked a hundred times a second for twenty seconds, and stands still for two of them. Once as a plain loop would do it,
which waits for each answer, pauses, and asks again; and once as `loadtest/` does it, at moments that do not depend on the answers.
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

from benchmarks.calls import Rows, method
from benchmarks.overload import named
from benchmarks.servers import Served, cassandra_of, ours

RATE, SECONDS = 100.0, 20.0
STILL_FROM, STILL_SECONDS = 8.0, 2.0

Ask = Callable[[], Awaitable[Any]]


async def closed(ask: Ask) -> list[float]:
    """One caller: the seconds that each call took from when it was sent."""
    took: list[float] = []
    until = time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < until:
        await ask()
        took.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, 1 / RATE - took[-1]))
    return took


async def opened(ask: Ask) -> list[float]:
    """Arrivals at random moments: the seconds that each call took from when it was due."""
    took: list[float] = []

    async def one(due: float) -> None:
        await ask()
        took.append(time.perf_counter() - due)

    due = began = time.perf_counter()
    tasks = []
    while (due := due + random.expovariate(RATE)) < began + SECONDS:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return took


async def standing_still(server: Served) -> None:
    """Stop the server for a while, in the middle of the run."""
    await asyncio.sleep(STILL_FROM)
    server.send(signal.SIGSTOP)
    await asyncio.sleep(STILL_SECONDS)
    server.resume()


async def run(arguments: argparse.Namespace) -> None:
    """Both, one after the other."""
    console = Console(width=120)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-omission-")))
        point = stack.enter_context(cassandra_of(arguments.cassandra, folder))
        server = stack.enter_context(ours("comments", "auto", point, folder))
        call, rows = named("GetVideoComments"), Rows()
        async with aio.insecure_channel(server.address) as channel:
            method_ = method(channel, call.service, call.name)
            for name, loop in (("a closed loop", closed), ("open arrivals", opened)):
                stop = asyncio.create_task(standing_still(server))
                took = sorted(await loop(lambda: method_(call.request(rows))))
                await stop
                figures = "  ".join(
                    f"p{share * 100:g} {took[int(len(took) * share)] * 1000:,.1f} ms"
                    for share in (0.5, 0.9, 0.99, 0.999)
                )
                console.print(
                    f"{name}: {len(took):,} calls  {figures}  longest {took[-1] * 1000:,.0f} ms", highlight=False
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.omission", description=__doc__)
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    uvloop.run(run(parser.parse_args()))
