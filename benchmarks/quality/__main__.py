"""`python -m benchmarks.quality movielens FOLDER`: how good suggestions are, on data in FOLDER, through the running services."""

import argparse
import asyncio
from pathlib import Path

from benchmarks.quality import movielens


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="MEASURE")
    command = commands.add_parser("movielens", help="suggestions on ratings.csv and videos.csv of MovieLens")
    command.add_argument("folder", type=Path)
    command.add_argument("--people", default="1-335", metavar="FIRST-LAST", help="whose ratings (default: 1-335)")
    command.add_argument("--loaded", action="store_true", help="the data are in already: do not load them again")
    options = parser.parse_args()
    first, _, last = options.people.partition("-")
    asyncio.run(movielens.run(options.folder, (int(first), int(last)), options.loaded))


if __name__ == "__main__":
    main()
