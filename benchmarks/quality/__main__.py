"""How good suggestions and search are, on data in a folder, through the running services.

python -m benchmarks.quality movielens FOLDER      suggestions
python -m benchmarks.quality search FOLDER         known-item search
"""

import argparse
import asyncio
from pathlib import Path

from benchmarks.quality import known_items, movielens


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="MEASURE")
    command = commands.add_parser("movielens", help="suggestions on ratings.csv and videos.csv of MovieLens")
    command.add_argument("folder", type=Path)
    command.add_argument("--people", default="1-335", metavar="FIRST-LAST", help="whose ratings (default: 1-335)")
    command.add_argument("--loaded", action="store_true", help="the data are in already: do not load them again")
    command.set_defaults(measure="movielens")
    command = commands.add_parser("search", help="known-item search on videos.csv in the form of youtube-trending")
    command.add_argument("folder", type=Path)
    command.add_argument("--loaded", action="store_true", help="the data are in already: do not load them again")
    command.set_defaults(measure="search")
    options = parser.parse_args()
    if options.measure == "search":
        asyncio.run(known_items.run(options.folder, options.loaded))
        return
    first, _, last = options.people.partition("-")
    asyncio.run(movielens.run(options.folder, (int(first), int(last)), options.loaded))


if __name__ == "__main__":
    main()
