"""The load test's command line: `python -m loadtest run browse`, `python -m loadtest compare A.json B.json`."""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from client import Services
from common.catalogue import SERVICES
from common.settings import Settings
from grpc_discovery.addresses import parse_address
from loadtest import live, report
from loadtest.compare import compare
from loadtest.run import LoadTestError, Result, Run
from loadtest.workload import WorkloadError, load


def main() -> None:
    """Read the command line and do what it says. Exit code 0 for a valid run in which no call failed but while Cassandra was stopped, 1 for
    another, 2 for a wrong command.
    """
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a workload against the running system")
    run.add_argument(
        "workload",
        nargs="?",
        default="browse",
        help="a preset (browse, write-heavy, hot-video, sign-in-storm, scaling) or a .toml file",
    )
    run.add_argument("--rate", type=float, help="visits a second, instead of the workload's")
    run.add_argument("--seconds", type=float, help="length of the run, instead of the workload's")
    run.add_argument("--report", type=Path, help="folder for the report (default: .local/loadtest/<workload>-<time>)")
    run.add_argument(
        "--beyond-loopback",
        action="store_true",
        help="allow services that are not on this machine's loopback addresses",
    )
    both = commands.add_parser(
        "compare", help="what changed between two reports (or several rounds of each, with commas)"
    )
    both.add_argument("before", help="summary.json, or several with commas")
    both.add_argument("after", help="summary.json, or several with commas")
    arguments = parser.parse_args()
    try:
        if arguments.command == "compare":
            compare(_paths(arguments.before), _paths(arguments.after), Console())
        else:
            sys.exit(asyncio.run(_run(arguments)))
    except (WorkloadError, LoadTestError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        sys.exit(2)


async def _run(arguments: argparse.Namespace) -> int:
    workload = load(arguments.workload, rate=arguments.rate, seconds=arguments.seconds)
    if not arguments.beyond_loopback:
        await _refuse_other_machines()
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    console = Console()
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as screen:
        result = await Run(workload, lambda so_far: screen.update(live.view(so_far))).go(stop)
    folder = arguments.report or Path(".local/loadtest") / f"{workload.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return _conclude(result, folder, console)


def _conclude(result: Result, folder: Path, console: Console) -> int:
    page = report.write(result, folder)
    figures = report.summary(result)
    latency = figures["latency_ms"]
    meanwhile = result.failed_without_cassandra
    console.print(
        f"{figures['calls']:,} calls in {figures['visits']:,} visits, {figures['failed']:,} failed"
        + (f" ({meanwhile:,} of them while Cassandra was stopped)" if meanwhile else "")
        + f", {figures['not_sent']:,} visits not sent"
    )
    console.print("  ".join(f"{name} {value:,.1f} ms" for name, value in latency.items()))
    for problem in result.problems:
        console.print(f"[bold red]not valid:[/] {problem}")
    console.print(f"report: {page}")
    return 0 if not result.problems and result.failed == meanwhile else 1


async def _refuse_other_machines() -> None:
    async with Services.from_settings(Settings.load()) as services:
        for service in SERVICES:
            for address in (await services.listed(service)).values():
                if not parse_address(address).is_loopback:
                    raise LoadTestError(
                        f"{service} is at {address}, which is not this machine; --beyond-loopback allows that"
                    )


def _paths(text: str) -> list[Path]:
    return [Path(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
