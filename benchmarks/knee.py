"""Where latency begins to rise, with 1, 2 and 4 instances: `python -m benchmarks.knee`, as root of a machine with control groups.

Each instance of the comments service gets a tenth of a processor, so that one is soon saturated while the machine is not, and all are called
through `client/`. The rate of calls rises step by step until most of them take too long or are refused.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.calls import PAGE, Rows
from benchmarks.overload import Latencies, arrivals
from benchmarks.servers import open_cassandra, run_service
from client import Services
from common.settings import Settings
from protos import comments_pb2

SHARE = 0.1
PERIOD_US = 20_000
INSTANCES = (1, 2, 4)
RATES = (25, 50, 75, 100, 150, 200, 300, 400, 600)
SATURATED_MS = 1000.0

_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextmanager
def share_of_a_processor(pid: int) -> Iterator[None]:
    """Limit a process to its share of one processor."""
    v2 = (_V2 / "cgroup.controllers").exists()
    group = (_V2 if v2 else _V1) / f"killrvideo-{pid}"
    quota = int(PERIOD_US * SHARE)
    try:
        group.mkdir()
        if v2:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        raise SystemExit(f"no share of a processor can be set: {error}") from error
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _cell(latencies: Latencies) -> tuple[str, bool]:
    """A cell of the table: p50 and p99 of the calls that were answered, how many were not; and whether the instances are saturated."""
    answered = sorted(latencies.get("OK", [])) or [0.0]
    others = sum(map(len, latencies.values())) - len(latencies.get("OK", []))
    p50, p99 = (answered[int(len(answered) * share)] * 1000 for share in (0.5, 0.99))
    return f"{p50:,.0f} / {p99:,.0f}" + (f", {others} not" if others else ""), bool(others) or p99 > SATURATED_MS


async def raise_rate(addresses: list[str], rows: Rows, seconds: float) -> list[str]:
    """A cell for each rate, up to the one that saturates the instances."""
    settings = Settings.load(discovery="static", static_services=f"CommentsService={','.join(addresses)}")
    cells = []
    async with Services(settings) as services:

        def request() -> comments_pb2.GetVideoCommentsRequest:
            return comments_pb2.GetVideoCommentsRequest(video_id=rows.video(), page_size=PAGE)

        await services.comments.GetVideoComments(request(), timeout=10)
        for rate in RATES:
            cell, is_saturated = _cell(await arrivals(services.comments.GetVideoComments, request, rate, seconds))
            cells.append(cell)
            if is_saturated:
                break
    return cells + ["-"] * (len(RATES) - len(cells))


async def run(arguments: argparse.Namespace) -> None:
    """Measure the columns one after the other and print the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-knee-")))
        point = stack.enter_context(open_cassandra(arguments.cassandra, folder))
        columns, rows = [], Rows()
        for count in INSTANCES:
            with ExitStack() as serving:
                servers = [serving.enter_context(run_service("comments", "auto", point, folder)) for _ in range(count)]
                for server in servers:
                    serving.enter_context(share_of_a_processor(server.pid))
                columns.append(await raise_rate([server.address for server in servers], rows, arguments.seconds))
        table = Table("calls a second", *(f"{count} instances" for count in INSTANCES), title="p50 / p99, ms")
        for rate, *cells in zip(RATES, *columns, strict=True):
            table.add_row(str(rate), *cells)
        Console(width=120).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knee", description=__doc__)
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    parser.add_argument("--seconds", type=float, default=5, help="seconds at each rate (5)")
    uvloop.run(run(parser.parse_args()))
