"""How good suggestions and search are, on data in a folder, through the running services.

python -m benchmarks.quality movielens FOLDER      suggestions
python -m benchmarks.quality search FOLDER         known-item search
python -m benchmarks.quality judged FOLDER         search with judged questions
python -m benchmarks.quality typed FOLDER          search with queries as people type them
python -m benchmarks.quality related FOLDER        related videos that people would expect

And what they cost, on generated data:

python -m benchmarks.quality cost --videos 1000
"""

import argparse
import asyncio
from pathlib import Path

from benchmarks.quality import cost, judged, known_items, movielens, related_cases, typed

_ON_A_FOLDER = {
    "movielens": "suggestions on ratings.csv and videos.csv of MovieLens",
    "search": "known-item search on videos.csv in the form of youtube-trending",
    "judged": "search on documents.csv, questions.csv and judgements.csv",
    "typed": "search with queries as people type them, on videos.csv of one collection",
    "related": "related videos that people would expect, on videos.csv of killrvideo",
}


def main() -> None:
    """Read the command line and measure."""
    options = _parser().parse_args()
    match options.measure:
        case "cost":
            asyncio.run(cost.run(options.videos, options.ratings, options.loaded, options.calls))
        case "search":
            asyncio.run(known_items.run(options.folder, options.loaded))
        case "judged":
            asyncio.run(judged.run(options.folder, options.loaded))
        case "typed":
            asyncio.run(typed.run(options.folder, options.collection, options.loaded))
        case "related":
            asyncio.run(related_cases.run(options.folder, options.loaded))
        case "movielens":
            first, _, last = options.people.partition("-")
            asyncio.run(movielens.run(options.folder, (int(first), int(last)), options.loaded))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="MEASURE", dest="measure")
    made = {name: commands.add_parser(name, help=text) for name, text in _ON_A_FOLDER.items()}
    for command in made.values():
        command.add_argument("folder", type=Path)
    made["movielens"].add_argument(
        "--people", default="1-335", metavar="FIRST-LAST", help="whose ratings (default: 1-335)"
    )
    made["typed"].add_argument("--collection", choices=typed.COLLECTIONS, default=typed.COLLECTIONS[0])
    made["cost"] = commands.add_parser("cost", help="times and rows read, on generated videos and ratings")
    made["cost"].add_argument("--videos", type=int, default=1000, help="how many videos (1000)")
    made["cost"].add_argument("--ratings", type=int, default=100_000, help="how many ratings (100000)")
    made["cost"].add_argument("--calls", type=int, default=200, help="how many calls of each kind (200)")
    for command in made.values():
        command.add_argument(
            "--loaded", action="store_true", help="the data are loaded already: do not load them again"
        )
    return parser


if __name__ == "__main__":
    main()
