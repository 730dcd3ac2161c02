"""One service under far more calls than it can take: `python -m benchmarks.overload`, on a Cassandra of its own or `--cassandra HOST:PORT`.

First its saturation rate is found with callers that wait for their answers. At half of it the floor is asked too, in turn. Then twice that
rate arrives whether or not it is answered. What is printed: what became of the calls, how long the accepted and the refused ones took,
health meanwhile, memory, and the same calls after it. At the end, sign-ins storm the service of users while profiles are asked of it.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from benchmarks.calls import CALLS, Call, Rows, fill, method
from benchmarks.measuring import CALLERS, cpu_seconds, resident_mb
from benchmarks.servers import Served, cassandra_of, floor, ours
from protos import user_management_pb2

DEADLINE = 10.0
MOST_BEHIND = 0.05
ROUNDS = 3
STORM = 200.0
PROFILES = 50.0

Took = dict[str, list[float]]
"""For each status the seconds that its calls took, from the moment they were meant to start."""


def named(name: str) -> Call:
    """One of the calls that are measured."""
    return next(call for call in CALLS if call.name == name)


async def saturation(ask: Any, request: Callable[[], Any], seconds: float) -> float:
    """Calls a second that are answered when each caller waits for its answer."""
    answered, until = 0, time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await ask(request(), timeout=DEADLINE)
            answered += 1

    await asyncio.gather(*(caller() for _ in range(2 * CALLERS)))
    return answered / seconds


async def arrivals(ask: Any, request: Callable[[], Any], rate: float, seconds: float) -> Took:
    """Calls at a fixed rate, whatever becomes of them."""
    took: Took = defaultdict(list)

    async def one(meant: float) -> None:
        status = "OK"
        try:
            await ask(request(), timeout=DEADLINE)
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
            if len(took["NOT SENT, the generator fell behind"]) % 100 == 0:
                await asyncio.sleep(0)  # answers must come in all the same
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
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
                seen[health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)] += 1
            except grpc.RpcError:
                seen["no answer"] += 1
            await asyncio.sleep(0.2)


def say(console: Console, what: str, took: Took) -> None:
    """A line for each status."""
    for status, seconds in sorted(took.items()):
        ordered = sorted(seconds)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
        console.print(
            f"{what}: {status} {len(ordered)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {ordered[-1] * 1000:.0f} ms",
            highlight=False,
        )


async def overloaded(server: Served, bare: Served, rows: Rows, seconds: float, console: Console) -> None:
    """Half of what it can take beside the floor, twice of it, and after it."""
    call = named("GetVideoComments")

    def request() -> Any:
        return call.request(rows)

    async with aio.insecure_channel(server.address) as channel, aio.insecure_channel(bare.address) as other:
        ask, ask_floor = (method(each, call.service, call.name) for each in (channel, other))
        rate = await saturation(ask, request, seconds)
        console.print(f"saturation: {rate:.0f} calls a second, {resident_mb(server.pid):.0f} MB", highlight=False)
        for _ in range(ROUNDS):
            say(console, "at half of it", await arrivals(ask, request, rate / 2, seconds))
            say(console, "the floor at that rate", await arrivals(ask_floor, request, rate / 2, seconds))
        health: Counter[str] = Counter()
        watching = asyncio.create_task(watched_health(server.address, health))
        began = cpu_seconds(server.pid)
        say(console, "at twice", await arrivals(ask, request, rate * 2, seconds))
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        console.print(
            f"meanwhile: health {dict(health)}, {resident_mb(server.pid):.0f} MB, CPU {cpu_seconds(server.pid) - began:.1f} s",
            highlight=False,
        )
        say(console, "in the 5 s after it, at half", await arrivals(ask, request, rate / 2, 5))
        say(console, "and in the 5 s after those", await arrivals(ask, request, rate / 2, 5))


async def stormed(server: Served, rows: Rows, seconds: float, console: Console) -> None:
    """Profiles at a fixed rate, without and with far more sign-ins than can be checked."""
    profile, sign_in = named("GetUserProfile"), named("VerifyCredentials")
    async with aio.insecure_channel(server.address) as channel, aio.insecure_channel(server.address) as other:
        ask, ask_in = method(channel, profile.service, profile.name), method(other, sign_in.service, sign_in.name)

        def one_profile() -> Any:
            return user_management_pb2.GetUserProfileRequest(user_ids=[rows.user()])

        say(console, "profiles alone", await arrivals(ask, one_profile, PROFILES, seconds))
        storm = asyncio.create_task(arrivals(ask_in, lambda: sign_in.request(rows), STORM, seconds))
        say(console, "profiles in the storm", await arrivals(ask, one_profile, PROFILES, seconds))
        say(console, f"sign-ins, {STORM:.0f} a second", await storm)


async def run(arguments: argparse.Namespace) -> None:
    """The overload, then the storm."""
    console = Console(width=150)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-overload-")))
        point = stack.enter_context(cassandra_of(arguments.cassandra, folder))
        with ExitStack() as filling:
            slugs = {call.service for call in CALLS}
            started = {slug: filling.enter_context(ours(slug, arguments.driver, point, folder)) for slug in slugs}
            rows = await fill({slug: server.address for slug, server in started.items()})
        with ours("comments", arguments.driver, point, folder) as server, floor("comments", point, folder) as bare:
            await overloaded(server, bare, rows, arguments.seconds, console)
        with ours("user_management", arguments.driver, point, folder) as server:
            await stormed(server, rows, arguments.seconds, console)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    parser.add_argument("--driver", default="auto")
    parser.add_argument("--seconds", type=float, default=8, help="seconds of each part (8)")
    uvloop.run(run(parser.parse_args()))
