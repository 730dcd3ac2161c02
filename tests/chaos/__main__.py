"""`python -m tests.chaos`: all trials, with the real TTL of ten seconds. Each prints promise, fault, bound, measured, held or not.

--ttl 3           quicker; bounds follow
--only a,b        some of them
--runs 20         each so often, and the median and the worst at the end
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
from tests.chaos.world import Measured, world


def main() -> None:
    """Run the trials; exit code 1 when a promise was not held."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ttl", type=float, default=10.0, help="seconds a registration lives (default 10)")
    parser.add_argument("--only", default=",".join(TRIALS), help=f"of {', '.join(TRIALS)}")
    parser.add_argument("--runs", type=int, default=1, help="how often each (default 1)")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := [name for name in names if name not in TRIALS]:
        parser.error(f"no such trial: {', '.join(unknown)}")
    logging.basicConfig(level=logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        measured = asyncio.run(run(Path(folder), names, arguments.ttl, arguments.runs))
    sys.exit(0 if measured and all(each.held for each in measured) else 1)


async def run(folder: Path, names: list[str], ttl: float, runs: int) -> list[Measured]:
    """Run the named trials and print a row of the table for each thing measured."""
    everything: list[Measured] = []
    print("| promise | fault | bound | measured | |\n|---|---|---|---|---|", flush=True)
    async with world(folder, ttl) as made:
        for name in names:
            series: dict[str, list[Measured]] = {}
            for _ in range(runs):
                try:
                    rows = await TRIALS[name](made)
                except (AssertionError, InfraError) as error:
                    rows = [Measured("?", f"{name}: {error}", 0, 0, "", holds=False)]
                for row in rows:
                    series.setdefault(row.fault, []).append(row)
                    if runs == 1:
                        print(row.row(), flush=True)
            for fault, each in series.items():
                everything += each
                if runs > 1:
                    figures = [row.measured for row in each]
                    held = sum(row.held for row in each)
                    print(
                        f"| {each[0].promise} | {fault} | {each[0].bound:g} {each[0].unit} "
                        f"| median {statistics.median(figures):.2f}, worst {max(figures):.2f} of {len(each)} | held {held} of {len(each)} |",
                        flush=True,
                    )
    return everything


if __name__ == "__main__":
    main()
