"""One service under far more calls than it can take: `python -m benchmarks.overload HOST:PORT` (of a Cassandra with the schema in it).

First its saturation rate is found with callers that wait for their answers, then twice that rate arrives whether or not it answers. What is
printed: what became of the calls, how long the accepted and the refused ones took, health meanwhile, memory, and the same calls after it.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import uvloop
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from benchmarks.__main__ import ours
from benchmarks.calls import method, uuid
from benchmarks.measuring import CALLERS, cpu_seconds, resident_mb
from protos import comments_pb2, common_pb2

DEADLINE = 10.0
MOST_BEHIND = 0.05


def request(video_id: common_pb2.Uuid) -> comments_pb2.GetVideoCommentsRequest:
    """The call that is made."""
    return comments_pb2.GetVideoCommentsRequest(video_id=video_id, page_size=10)


async def saturation(ask: Any, video_id: common_pb2.Uuid, seconds: float) -> float:
    """Calls a second that are answered when each caller waits for its answer."""
    answered, until = 0, time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await ask(request(video_id), timeout=DEADLINE)
            answered += 1

    await asyncio.gather(*(caller() for _ in range(2 * CALLERS)))
    return answered / seconds


async def arrivals(ask: Any, video_id: common_pb2.Uuid, rate: float, seconds: float) -> dict[str, list[float]]:
    """Calls at a fixed rate, and for each status the seconds that its calls took, from the moment they were meant to start."""
    took: dict[str, list[float]] = defaultdict(list)

    async def one(meant: float) -> None:
        status = "OK"
        try:
            await ask(request(video_id), timeout=DEADLINE)
        except aio.AioRpcError as error:
            status = error.code().name
        took[status].append(time.perf_counter() - meant)

    meant = time.perf_counter()
    until, tasks = meant + seconds, set()
    while meant < until:
        meant += random.expovariate(rate)
        if (early := meant - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        elif early < -MOST_BEHIND:
            took["NOT SENT, the generator fell behind"].append(0)
            continue
        task = asyncio.create_task(one(meant))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return took


async def watched_health(address: str, seen: Counter[str]) -> None:
    """Ask for health five times a second."""
    async with aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            with suppress(grpc.RpcError):
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
                seen[health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)] += 1
            await asyncio.sleep(0.2)


def say(console: Console, what: str, took: dict[str, list[float]]) -> None:
    """A line for each status."""
    for status, seconds in sorted(took.items()):
        ordered = sorted(seconds)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
        console.print(
            f"{what}: {status} {len(ordered)}, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {ordered[-1] * 1000:.0f} ms"
        )


async def run(arguments: argparse.Namespace) -> None:
    """Saturation, overload, and after it."""
    console = Console(width=150)
    host, _, port = arguments.cassandra.rpartition(":")
    with (
        tempfile.TemporaryDirectory(prefix="killrvideo-overload-") as folder,
        ours("comments", arguments.driver, (host, int(port)), Path(folder)) as server,
    ):
        async with aio.insecure_channel(server.address) as channel:
            ask = method(channel, "comments", "GetVideoComments")
            video_id = uuid(arguments.video)
            rate = await saturation(ask, video_id, arguments.seconds)
            console.print(f"saturation: {rate:.0f} calls a second, {resident_mb(server.pid):.0f} MB")
            say(console, "at half of it", await arrivals(ask, video_id, rate / 2, arguments.seconds))
            health: Counter[str] = Counter()
            watching = asyncio.create_task(watched_health(server.address, health))
            began = cpu_seconds(server.pid)
            say(console, "at twice", await arrivals(ask, video_id, rate * 2, arguments.seconds))
            watching.cancel()
            console.print(
                f"health meanwhile: {dict(health)}, {resident_mb(server.pid):.0f} MB, CPU {cpu_seconds(server.pid) - began:.1f} s"
            )
            say(console, "at once after it", await arrivals(ask, video_id, rate / 2, arguments.seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("cassandra", help="host:port")
    parser.add_argument("--driver", default="auto")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--video", type=UUID, default=UUID(int=1), help="whose comments are read")
    uvloop.run(run(parser.parse_args()))
