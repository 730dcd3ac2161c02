"""How good suggestions and search are, on data in a folder, through the running services.

python -m benchmarks.quality movielens FOLDER      suggestions
python -m benchmarks.quality search FOLDER         known-item search
python -m benchmarks.quality judged FOLDER         search with judged questions

And what they cost, on generated data:

python -m benchmarks.quality cost --videos 1000
"""

import argparse
import asyncio
from pathlib import Path

from benchmarks.quality import cost, judged, known_items, movielens


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="MEASURE")
    command = commands.add_parser("movielens", help="suggestions on ratings.csv and videos.csv of MovieLens")
    command.add_argument("folder", type=Path)
    command.add_argument("--people", default="1-335", metavar="FIRST-LAST", help="whose ratings (default: 1-335)")
    command.add_argument("--loaded", action="store_true", help="the data are loaded already: do not load them again")
    command.set_defaults(measure="movielens")
    command = commands.add_parser("search", help="known-item search on videos.csv in the form of youtube-trending")
    command.add_argument("folder", type=Path)
    command.add_argument("--loaded", action="store_true", help="the data are loaded already: do not load them again")
    command.set_defaults(measure="search")
    command = commands.add_parser("judged", help="search on documents.csv, questions.csv and judgements.csv")
    command.add_argument("folder", type=Path)
    command.add_argument("--loaded", action="store_true", help="the data are loaded already: do not load them again")
    command.set_defaults(measure="judged")
    command = commands.add_parser("cost", help="times and rows read, on generated videos and ratings")
    command.add_argument("--videos", type=int, default=1000, help="how many videos (1000)")
    command.add_argument("--ratings", type=int, default=100_000, help="how many ratings (100000)")
    command.add_argument("--calls", type=int, default=200, help="how many calls of each kind (200)")
    command.add_argument("--loaded", action="store_true", help="the data are loaded already: do not load them again")
    command.set_defaults(measure="cost")
    options = parser.parse_args()
    match options.measure:
        case "cost":
            asyncio.run(cost.run(options.videos, options.ratings, options.loaded, options.calls))
        case "search":
            asyncio.run(known_items.run(options.folder, options.loaded))
        case "judged":
            asyncio.run(judged.run(options.folder, options.loaded))
        case "movielens":
            first, _, last = options.people.partition("-")
            asyncio.run(movielens.run(options.folder, (int(first), int(last)), options.loaded))


if __name__ == "__main__":
    main()
