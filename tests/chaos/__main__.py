"""`python -m tests.chaos`: all trials, with the real TTL of ten seconds. Each prints promise, fault, bound, measured, held or not.

--ttl 3           quicker; bounds follow
--only a,b        some of them
--runs 20         each so many times, with the median and the worst at the end
"""

import argparse
import asyncio
import logging
import os
import statistics
import sys
import tempfile
from pathlib import Path

from common.settings import PREFIX
from infra.errors import InfraError
from tests.chaos.trials import TRIALS
from tests.chaos.world import Measurement, world


def main() -> None:
    """Run the trials; exit code 1 when a promise was not held."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ttl", type=float, default=10.0, help="seconds a registration lives (default 10)")
    parser.add_argument("--only", default=",".join(TRIALS), help=f"of {', '.join(TRIALS)}")
    parser.add_argument("--runs", type=int, default=1, help="how many times each (default 1)")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := [name for name in names if name not in TRIALS]:
        parser.error(f"no such trial: {', '.join(unknown)}")
    logging.basicConfig(level=logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        measured = asyncio.run(run(Path(folder), names, arguments.ttl, arguments.runs))
    sys.exit(0 if measured and all(result.held for result in measured) else 1)


async def run(folder: Path, names: list[str], ttl: float, runs: int) -> list[Measurement]:
    """Run the named trials and print a row of the table for each thing measured."""
    everything: list[Measurement] = []
    print("| promise | fault | bound | measured | |\n|---|---|---|---|---|", flush=True)
    async with world(folder, ttl) as given:
        for name in names:
            series: dict[str, list[Measurement]] = {}
            for _ in range(runs):
                try:
                    rows = await TRIALS[name](given)
                except (AssertionError, InfraError) as error:
                    rows = [Measurement("?", f"{name}: {error}", 0, 0, "", holds=False)]
                for row in rows:
                    series.setdefault(row.fault, []).append(row)
                    if runs == 1:
                        print(row.row(), flush=True)
            for rows in series.values():
                everything += rows
                if runs > 1:
                    print(_summary(rows), flush=True)
    return everything


def _summary(rows: list[Measurement]) -> str:
    """One row of the table for several measurements of one thing."""
    figures = [row.measured for row in rows]
    held = sum(row.held for row in rows)
    return (
        f"| {rows[0].promise} | {rows[0].fault} | {rows[0].bound:g} {rows[0].unit} "
        f"| median {statistics.median(figures):.2f}, worst {max(figures):.2f} of {len(rows)} | held {held} of {len(rows)} |"
    )


if __name__ == "__main__":
    main()
