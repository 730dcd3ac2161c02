"""Loads data by the services' calls: `python -m sampledata` our own small set, `python -m sampledata FOLDER` another.

Exit codes: 0 everything is there now; 1 it could not be done; 2 wrong usage; 3 done, but rows were skipped; 130 stopped in the middle.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from client import Services
from common.settings import Settings
from sampledata.items import DataSet
from sampledata.loader import Count, Loader, Options, Progress, ServicesAway
from sampledata.readers import VIEWS_PER_PLAY, UnknownForm, read_folder

OWN_FOLDER = Path(__file__).with_name("data")
DEFAULT_PASSWORD = "killrvideo"  # noqa: S105  # of made-up people; docs/data.md names it

_SHOWN_BAD_ROWS = 20

DESCRIPTION = f"""
Loads people, videos, ratings, comments and plays through the services, found in the registry.

A folder holds CSV files in the form of KillrVideo's tables (users.csv, videos.csv, video_ratings_by_user.csv,
comments.csv, video_playback_stats.csv; each but videos.csv may be missing), or a videos.csv of trending videos
(youtube_id, ...), or films and their ratings (movie_id, ...; half stars are rounded half up to 1 to 5).

What is there already is left as it is, so the same command continues a load that was stopped, and a second run adds
nothing. Videos are dated when they are submitted, the oldest of the files first: a call to submit one takes no date.
Comments are dated after the last video, in the order that they have in the files.
Plays are calls too: of trending videos, one stands for {VIEWS_PER_PLAY:,} views.
"""


def main() -> None:
    """Read the command line, load, and tell what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m sampledata", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=OWN_FOLDER,
        metavar="FOLDER",
        help="folder of CSV files; default: our own small set",
    )
    parser.add_argument(
        "--password",
        default=DEFAULT_PASSWORD,
        help="password of the people it creates; files hold none that could be used (default: %(default)s)",
    )
    parser.add_argument(
        "--most-plays",
        type=_number(0),
        metavar="N",
        help="at most so many plays a video; default: as many as the files say",
    )
    parser.add_argument(
        "--at-once", type=_number(1), default=32, metavar="N", help="calls under way at once (default: %(default)s)"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to try while a service is away (default: %(default)g)",
    )
    parser.add_argument("--if-empty", action="store_true", help="do nothing where there are other videos already")
    arguments = parser.parse_args()
    settings = Settings.load()
    try:
        data = read_folder(arguments.folder)
    except (UnknownForm, OSError) as error:
        sys.exit(f"{error}")
    progress = Progress(bad_rows=list(data.bad_rows))
    console = Console()
    try:
        loaded = asyncio.run(_load(arguments, settings, data, progress, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _summary(console, progress)
        console.print("stopped; the same command goes on from here")
        sys.exit(130)
    except ServicesAway as error:
        _summary(console, progress)
        sys.exit(f"given up, the same command goes on from here: {error}")
    if not loaded:
        console.print("there are other videos already; nothing was loaded")
        return
    _summary(console, progress)
    sys.exit(3 if progress.bad_rows else 0)


async def _load(
    arguments: argparse.Namespace, settings: Settings, data: DataSet, progress: Progress, console: Console
) -> bool:
    """Find the services and load. Returns False where --if-empty found that there is nothing to do."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # we are in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    options = Options(arguments.password, arguments.most_plays, arguments.at_once, arguments.wait)
    async with Services.from_settings(settings) as services:
        loader = Loader(services, progress, options)
        if arguments.if_empty and not await loader.is_wanted(data):
            return False
        with _bars(console, progress):
            await loader.load(data)
    return True


@contextmanager
def _bars(console: Console, progress: Progress) -> Iterator[None]:
    """A bar for each kind of thing, on a terminal; the summary is enough elsewhere."""
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(kind: str, count: Count) -> None:
            if kind not in tasks:
                tasks[kind] = bars.add_task(kind)
            bars.update(tasks[kind], total=count.total, completed=count.added + count.there + count.skipped)

        progress.tell = tell
        yield


def _summary(console: Console, progress: Progress) -> None:
    """What was added, what was there, and which rows were skipped."""
    table = Table()
    for heading in ("", "in the files", "added", "there already", "skipped"):
        table.add_column(heading, justify="right" if heading else "left")
    for kind, count in progress.counts.items():
        table.add_row(kind, *(f"{number:,}" for number in (count.total, count.added, count.there, count.skipped)))
    console.print(table)
    for bad in progress.bad_rows[:_SHOWN_BAD_ROWS]:
        console.print(f"skipped {bad.place}: {bad.reason}", markup=False, highlight=False, soft_wrap=True)
    if (more := len(progress.bad_rows) - _SHOWN_BAD_ROWS) > 0:
        console.print(f"and {more:,} more rows")


def _number(least: int) -> Callable[[str], int]:
    """Reads an option that is a whole number of at least `least`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return number


if __name__ == "__main__":
    main()
