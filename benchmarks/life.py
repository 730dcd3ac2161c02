"""The time that a process needs to start, and its memory while it runs: `python -m benchmarks.life`.

The time is that until etcd has its address, in several starts. Its memory is read after more and more calls: pages of comments, and every
tenth call a comment. On a Cassandra and an etcd of its own.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from statistics import median
from uuid import uuid1, uuid4

import uvloop
from grpc import aio
from rich.console import Console

from benchmarks.calls import method, uuid
from benchmarks.measuring import CALLERS, cpu_seconds, resident_mb
from benchmarks.servers import open_cassandra, run_service
from common.settings import Settings
from grpc_discovery import open_registry
from grpc_discovery.addresses import Address
from infra.etcd import Etcd
from infra.layout import PYTHON, ROOT
from infra.ports import free_port
from infra.processes import Process
from protos import comments_pb2
from protos.common_pb2 import TimeUuid

STARTS = 7
CALL_COUNTS = (0, 50_000, 100_000, 150_000, 200_000)
WRITE_EVERY = 10


async def starts(point: Address, folder: Path, console: Console) -> None:
    """Print the seconds until a new process is in the registry, and the CPU time it used."""
    with Etcd(folder / "etcd", free_port()) as etcd:
        registry = await open_registry(Settings.load(etcd=etcd.address, discovery="auto").registry)
        took, cpu = [], []
        for _ in range(STARTS):
            port = free_port()
            environment = {
                "KILLRVIDEO_ETCD": etcd.address,
                "KILLRVIDEO_DSE_CONTACT_POINTS": str(point),
                "KILLRVIDEO_LISTEN_PORT": str(port),
            }
            service = Process("comments", [str(PYTHON), "-m", "services.comments"], folder / "comments.log", environment=environment, folder=ROOT)  # fmt: skip
            began = time.perf_counter()
            service.start()
            try:
                async with aclosing(registry.watch("CommentsService")) as lists:
                    async for instances in lists:
                        if f"127.0.0.1:{port}" in instances.values():
                            break
                took.append(time.perf_counter() - began)
                cpu.append(cpu_seconds(service.pid))
            finally:
                service.stop()
        await registry.close()
    console.print(
        f"from start to advertised: {min(took):.2f} s at best, {median(took):.2f} s in the middle, CPU {min(cpu):.2f} s",
        highlight=False,
    )


async def memory(driver: str, point: Address, folder: Path, steps: Sequence[int], console: Console) -> None:
    """Print the resident memory of one process after each number of calls in `steps`."""
    with run_service("comments", driver, point, folder) as server:
        async with aio.insecure_channel(server.address) as channel:
            read, write = (method(channel, "comments", name) for name in ("GetVideoComments", "CommentOnVideo"))
            video_id, user_id = uuid(uuid4()), uuid(uuid4())
            made = 0

            async def caller(until: int) -> None:
                nonlocal made
                while made < until:
                    made += 1
                    if made % WRITE_EVERY:
                        await read(comments_pb2.GetVideoCommentsRequest(video_id=video_id, page_size=10))
                    else:
                        comment_id = TimeUuid(value=str(uuid1()))
                        await write(comments_pb2.CommentOnVideoRequest(video_id=video_id, user_id=user_id, comment_id=comment_id, comment="one more"))  # fmt: skip

            for step in steps:
                await asyncio.gather(*(caller(step) for _ in range(CALLERS)))
                console.print(f"{driver}: {step:>9,} calls, {resident_mb(server.pid):.1f} MB", highlight=False)


async def run(arguments: argparse.Namespace) -> None:
    """Measure the starts, then the memory."""
    console = Console(width=120)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-life-")))
        point = stack.enter_context(open_cassandra(arguments.cassandra, folder))
        await starts(point, folder, console)
        for driver in arguments.drivers.split(","):
            await memory(driver, point, folder, [step for step in CALL_COUNTS if step <= arguments.calls], console)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.life", description=__doc__)
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    parser.add_argument("--drivers", default="acsylla,cassandra-driver", help="drivers, with commas (both)")
    parser.add_argument("--calls", type=int, default=CALL_COUNTS[-1], help="the highest number of calls (200,000)")
    uvloop.run(run(parser.parse_args()))
