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
from loadtest.results import Result
from loadtest.run import IS_IT_RUNNING, LoadTestError, Run
from loadtest.workload import WorkloadError, load

REGISTRY_SECONDS = 15.0
"""How long the registry may take until the load test gives up."""
_SILENT_SECONDS = 1.0


def main() -> None:
    """Read the command line and do what it says. Exit code 0 for a valid run in which calls failed only while Cassandra was stopped, 1 for
    any other run, 2 if the command is wrong or the run could not be done.
    """
    arguments = _parser().parse_args()
    try:
        if arguments.command == "compare":
            compare(_paths(arguments.before), _paths(arguments.after), Console())
        else:
            sys.exit(asyncio.run(_run(arguments)))
    except (WorkloadError, LoadTestError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
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
    compared = commands.add_parser(
        "compare", help="what changed between two reports (or several rounds of each, with commas)"
    )
    compared.add_argument("before", help="summary.json, or several with commas")
    compared.add_argument("after", help="summary.json, or several with commas")
    return parser


async def _run(arguments: argparse.Namespace) -> int:
    workload = load(arguments.workload, rate=arguments.rate, seconds=arguments.seconds)
    if not arguments.beyond_loopback:
        await _refuse_other_machines()
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    console = Console()
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as screen:
        result = await Run(workload, lambda result: screen.update(live.view(result))).go(stop)
    folder = arguments.report or Path(".local/loadtest") / f"{workload.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return _finish(result, folder, console)


def _finish(result: Result, folder: Path, console: Console) -> int:
    """Write the report, print the sums, and return the exit code."""
    page = report.write(result, folder)
    figures = report.summary(result)
    latency = figures["latency_ms"]
    failed_without_cassandra = result.failed_without_cassandra
    console.print(
        f"{figures['calls']:,} calls in {figures['visits']:,} visits, {figures['failed']:,} failed"
        + (f" ({failed_without_cassandra:,} of them while Cassandra was stopped)" if failed_without_cassandra else "")
        + f", {figures['not_sent']:,} visits not sent"
    )
    console.print("  ".join(f"{name} {value:,.1f} ms" for name, value in latency.items()))
    for problem in result.problems:
        console.print(f"[bold red]not valid:[/] {problem}")
    console.print(f"report: {page}")
    return 0 if not result.problems and result.failed == failed_without_cassandra else 1


async def _refuse_other_machines() -> None:
    """Raise LoadTestError if an instance is not on this machine, or if the registry does not answer in REGISTRY_SECONDS."""
    async with Services.from_settings(Settings.load()) as services:
        waiting = asyncio.get_running_loop().call_later(
            _SILENT_SECONDS, lambda: print("loadtest: waiting for the registry", file=sys.stderr, flush=True)
        )
        try:
            async with asyncio.timeout(REGISTRY_SECONDS):
                instances = {service: await services.listed(service) for service in SERVICES}
        except TimeoutError as error:
            raise LoadTestError(f"the registry does not answer{IS_IT_RUNNING}") from error
        finally:
            waiting.cancel()
        for service, addresses in instances.items():
            for address in addresses.values():
                if not parse_address(address).is_loopback:
                    raise LoadTestError(
                        f"{service} is at {address}, which is not this machine; --beyond-loopback allows that"
                    )


def _paths(text: str) -> list[Path]:
    return [Path(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
