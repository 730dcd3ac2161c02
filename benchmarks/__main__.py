"""What our calls cost beside the floor: `make bench`, or `python -m benchmarks --help`.

Both servers run on the same rows of the same Cassandra, and take turns: a round of one, a round of the other, several times. The
printed CPU time is the lowest of the rounds, because other work on the machine can only add to it; the printed latency is the median.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import uvloop
from grpc import aio
from rich.console import Console
from rich.table import Table

from benchmarks.calls import CALLS, SERVICES, MeasuredCall, Rows, fill, method
from benchmarks.measuring import Latency, measure_cpu, measure_latency, resident_mb
from benchmarks.servers import ServerProcess, open_cassandra, run_floor, run_service


async def measure(
    call: MeasuredCall, servers: dict[str, ServerProcess], rows: Rows, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Measure one call: CPU time of each server in turn, then latencies in turn. Returns the figures of each server."""
    calls = max(8, int(call.calls * arguments.scale))
    for server in servers.values():
        await measure_cpu(server.address, server.pid, call, rows, max(8, calls // 4))
    if call.same_answer and call.target == 1.2:
        await _compare(call, servers, rows)
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    latencies: dict[str, list[Latency]] = {name: [] for name in servers}
    rate = min(arguments.rate, call.max_rate)
    for _ in range(arguments.rounds):
        for name, server in servers.items():
            cpu[name].append(await measure_cpu(server.address, server.pid, call, rows, calls))
    for _ in range(arguments.rounds if rate else 0):
        for name, server in servers.items():
            latencies[name].append(await measure_latency(server.address, call, rows, rate, arguments.seconds))
    return {
        name: {
            "cpu_us": min(cpu[name]),
            "cpu_rounds": [round(microseconds) for microseconds in cpu[name]],
            "p50_ms": median(latency.p50 for latency in latencies[name]) if latencies[name] else None,
            "p99_ms": median(latency.p99 for latency in latencies[name]) if latencies[name] else None,
            "resident_mb": resident_mb(server.pid),
        }
        for name, server in servers.items()
    }


async def _compare(call: MeasuredCall, servers: dict[str, ServerProcess], rows: Rows) -> None:
    """Raise SystemExit if the servers do not give the same answer."""
    request = call.request(rows)
    answers = []
    for server in servers.values():
        async with aio.insecure_channel(server.address) as channel:
            answers.append(await method(channel, call.service, call.name)(request))
    if len({len(answer) for answer in answers}) != 1:
        raise SystemExit(f"{call.name}: the servers do not give the same answer")


async def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure all calls that the command line names."""
    chosen = [call for call in CALLS if not arguments.calls or call.name in arguments.calls.split(",")]
    results: dict[str, Any] = {"calls": {}, "started_s": {}}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-bench-")))
        point = stack.enter_context(open_cassandra(arguments.cassandra, folder))
        with ExitStack() as filling:
            addresses = {
                slug: filling.enter_context(run_service(slug, "cassandra-driver", point, folder)).address
                for slug in SERVICES
            }
            rows = await fill(addresses)
        for slug in SERVICES:
            calls = [call for call in chosen if call.service == slug]
            if not calls:
                continue
            with ExitStack() as serving:
                servers = {"floor": serving.enter_context(run_floor(slug, point, folder))}
                for driver in arguments.drivers.split(","):
                    servers[driver] = serving.enter_context(run_service(slug, driver, point, folder))
                    results["started_s"][f"{slug}, {driver}"] = round(servers[driver].start_seconds, 2)
                for call in calls:
                    try:
                        results["calls"][call.name] = await measure(call, servers, rows, arguments)
                    except grpc.RpcError as error:
                        logs = "\n".join(f"{name}:\n{server.log_end()}" for name, server in servers.items())
                        raise SystemExit(f"{call.name} failed: {error}\n{logs}") from error
                    console.print(f"[dim]{call.name}: {json.dumps(results['calls'][call.name])}")
                    if arguments.output:  # after each call, because a run takes long
                        arguments.output.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def table_of(results: dict[str, Any], drivers: list[str]) -> Table:
    """The table of the ratios to the floor."""
    table = Table(title="CPU time of a call, and the ratio to the floor")
    table.add_column("call")
    table.add_column("floor us", justify="right")
    for driver in drivers:
        for column in (f"{driver} us", "ratio", "p50", "p99", "MB"):
            table.add_column(column, justify="right")
    table.add_column("target", justify="right")
    for call in CALLS:
        if call.name not in results["calls"]:
            continue
        figures = results["calls"][call.name]
        cells = [call.name, f"{figures['floor']['cpu_us']:.0f}"]
        for driver in drivers:
            cells.append(f"{figures[driver]['cpu_us']:.0f}")
            for name in ("cpu_us", "p50_ms", "p99_ms"):
                base = figures["floor"][name]
                cells.append(f"{figures[driver][name] / base:.2f}" if base else "-")
            cells.append(f"{figures[driver]['resident_mb']:.0f}")
        table.add_row(*cells, f"{call.target}")
    return table


def main() -> None:
    """Read the command line, measure, print the table, and write the figures to the file that was named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--calls", help="names of calls, with commas (all)")
    parser.add_argument("--drivers", default="cassandra-driver,acsylla", help="drivers, with commas (both)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each server (5)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="how many times the usual number of calls in a round (1)"
    )
    parser.add_argument("--rate", type=float, default=100, help="calls a second for the latencies; 0 for none (100)")
    parser.add_argument("--seconds", type=float, default=4, help="seconds of each round of latencies (4)")
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    results = uvloop.run(run(arguments, console))
    console.print(table_of(results, arguments.drivers.split(",")))
    console.print(f"Seconds from start to serving: {json.dumps(results['started_s'])}")


if __name__ == "__main__":
    main()
