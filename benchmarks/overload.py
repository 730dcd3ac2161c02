"""One service under far more calls than it can take: `python -m benchmarks.overload`, on a Cassandra of its own or `--cassandra HOST:PORT`.

First its saturation rate is measured, with callers that wait for their answers. Half that rate is then sent to it and to the floor, in turn.
Then calls arrive at twice that rate, whether or not they are answered. Printed are the statuses of the calls, the latencies of accepted and
of refused ones, the health and the memory at that time, and the same calls afterwards. At the end, many sign-ins are sent to the service of
users while profiles are read from it.
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
from typing import Any, TypeAlias

import grpc
import uvloop
from google.protobuf.message import Message
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from benchmarks.calls import CALLS, Rows, call_named, fill, method
from benchmarks.measuring import CALLERS, cpu_seconds, resident_mb
from benchmarks.servers import ServerProcess, open_cassandra, run_floor, run_service
from protos import user_management_pb2

DEADLINE = 10.0
MAX_LATE_SECONDS = 0.05
ROUNDS = 3
STORM = 200.0
PROFILES = 50.0
NOT_SENT = "NOT SENT, the generator fell behind"

Ask: TypeAlias = aio.UnaryUnaryMultiCallable[Any, Any]
"""A method of a service."""

Latencies = dict[str, list[float]]
"""For each status the latencies of its calls: seconds from the time when they were due."""


async def saturation(ask: Ask, request: Callable[[], Message], seconds: float) -> float:
    """Calls a second that are answered when each caller waits for its answer."""
    answered, until = 0, time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await ask(request(), timeout=DEADLINE)
            answered += 1

    await asyncio.gather(*(caller() for _ in range(2 * CALLERS)))
    return answered / seconds


async def arrivals(ask: Ask, request: Callable[[], Message], rate: float, seconds: float) -> Latencies:
    """Make calls at `rate` a second for `seconds`, whether or not earlier ones were answered."""
    latencies: Latencies = defaultdict(list)

    async def one(due: float) -> None:
        status = "OK"
        try:
            await ask(request(), timeout=DEADLINE)
        except aio.AioRpcError as error:
            status = error.code().name
        latencies[status].append(time.perf_counter() - due)

    due = time.perf_counter()
    until, tasks = due + seconds, set()
    while due < until:
        due += random.expovariate(rate)
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        elif early < -MAX_LATE_SECONDS:
            latencies[NOT_SENT].append(0)
            if len(latencies[NOT_SENT]) % 100 == 0:
                await asyncio.sleep(0)  # answers must be received all the same
            continue
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return latencies


async def watch_health(address: str, seen: Counter[str]) -> None:
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


def print_latencies(console: Console, what: str, latencies: Latencies) -> None:
    """Print a line for each status."""
    for status, seconds in sorted(latencies.items()):
        ordered = sorted(seconds)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
        console.print(
            f"{what}: {status} {len(ordered)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {ordered[-1] * 1000:.0f} ms",
            highlight=False,
        )


async def overloaded(server: ServerProcess, bare: ServerProcess, rows: Rows, seconds: float, console: Console) -> None:
    """Half the saturation rate, beside the floor; then twice that rate; then half of it again."""
    call = call_named("GetVideoComments")

    def request() -> Message:
        return call.request(rows)

    async with aio.insecure_channel(server.address) as channel, aio.insecure_channel(bare.address) as other:
        ask, ask_floor = (method(target, call.service, call.name) for target in (channel, other))
        rate = await saturation(ask, request, seconds)
        console.print(f"saturation: {rate:.0f} calls a second, {resident_mb(server.pid):.0f} MB", highlight=False)
        for _ in range(ROUNDS):
            print_latencies(console, "at half of it", await arrivals(ask, request, rate / 2, seconds))
            print_latencies(console, "the floor at that rate", await arrivals(ask_floor, request, rate / 2, seconds))
        health: Counter[str] = Counter()
        watching = asyncio.create_task(watch_health(server.address, health))
        began = cpu_seconds(server.pid)
        print_latencies(console, "at twice", await arrivals(ask, request, rate * 2, seconds))
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        console.print(
            f"meanwhile: health {dict(health)}, {resident_mb(server.pid):.0f} MB, CPU {cpu_seconds(server.pid) - began:.1f} s",
            highlight=False,
        )
        print_latencies(console, "in the 5 s after it, at half", await arrivals(ask, request, rate / 2, 5))
        print_latencies(console, "and in the 5 s after those", await arrivals(ask, request, rate / 2, 5))


async def stormed(server: ServerProcess, rows: Rows, seconds: float, console: Console) -> None:
    """Profiles at a fixed rate, without and with far more sign-ins than can be checked."""
    profile, sign_in = call_named("GetUserProfile"), call_named("VerifyCredentials")
    async with aio.insecure_channel(server.address) as channel, aio.insecure_channel(server.address) as other:
        ask, ask_in = method(channel, profile.service, profile.name), method(other, sign_in.service, sign_in.name)

        def one_profile() -> Message:
            return user_management_pb2.GetUserProfileRequest(user_ids=[rows.user()])

        print_latencies(console, "profiles alone", await arrivals(ask, one_profile, PROFILES, seconds))
        storm = asyncio.create_task(arrivals(ask_in, lambda: sign_in.request(rows), STORM, seconds))
        print_latencies(console, "profiles in the storm", await arrivals(ask, one_profile, PROFILES, seconds))
        print_latencies(console, f"sign-ins, {STORM:.0f} a second", await storm)


async def run(arguments: argparse.Namespace) -> None:
    """The overload, then the storm."""
    console = Console(width=150)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-overload-")))
        point = stack.enter_context(open_cassandra(arguments.cassandra, folder))
        with ExitStack() as filling:
            slugs = {call.service for call in CALLS}
            started = {
                slug: filling.enter_context(run_service(slug, arguments.driver, point, folder)) for slug in slugs
            }
            rows = await fill({slug: server.address for slug, server in started.items()})
        with (
            run_service("comments", arguments.driver, point, folder) as server,
            run_floor("comments", point, folder) as bare,
        ):
            await overloaded(server, bare, rows, arguments.seconds, console)
        with run_service("user_management", arguments.driver, point, folder) as server:
            await stormed(server, rows, arguments.seconds, console)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    parser.add_argument("--driver", default="auto")
    parser.add_argument("--seconds", type=float, default=8, help="seconds of each part (8)")
    uvloop.run(run(parser.parse_args()))
