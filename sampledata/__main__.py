"""Loads data by the services' calls: `python -m sampledata` our own small set, `python -m sampledata FOLDER` another.

Exit codes: 0 all rows are loaded; 1 the load could not be done; 2 wrong usage; 3 done, but rows were skipped; 130 stopped before the end.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import progress as bars
from rich.console import Console
from rich.table import Table

from client import Services
from common.settings import Settings
from sampledata.calls import ServicesAway
from sampledata.items import DataSet
from sampledata.loader import Loader, Options
from sampledata.progress import Count, Kind, LoadProgress
from sampledata.readers import VIEWS_PER_PLAY, UnknownForm, read_folder

OWN_FOLDER = Path(__file__).with_name("data")
DEFAULT_PASSWORD = "killrvideo"  # noqa: S105  # of made-up people; docs/data.md names it

_MAX_BAD_ROWS_SHOWN = 20

DESCRIPTION = f"""
Loads people, videos, ratings, comments and plays through the services, found in the registry.

A folder holds CSV files in the form of KillrVideo's tables (users.csv, videos.csv, video_ratings_by_user.csv,
comments.csv, video_playback_stats.csv; all but videos.csv may be missing), or a videos.csv of trending videos
(youtube_id, ...), or films and their ratings (movie_id, ...; half stars are rounded half up to 1 to 5).

What is there already stays as it is, so the same command continues a load that was stopped, and a second run adds
nothing. Videos are dated when they are submitted, the oldest of the files first: a call to submit one takes no date.
Comments are dated after the last video, in the order that they have in the files.
Plays are calls too: of trending videos, one stands for {VIEWS_PER_PLAY:,} views.
"""


def main() -> None:
    """Read the command line, load, and print what was done. The exit codes stand at the top of this file."""
    arguments = _parser().parse_args()
    settings = Settings.load()
    try:
        data = read_folder(arguments.folder)
    except (UnknownForm, OSError) as error:
        sys.exit(f"{error}")
    progress = LoadProgress(bad_rows=list(data.bad_rows))
    console = Console()
    try:
        loaded = asyncio.run(_load(arguments, settings, data, progress, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _summary(console, progress)
        console.print("stopped; the same command continues the load")
        sys.exit(130)
    except ServicesAway as error:
        _summary(console, progress)
        sys.exit(f"given up, the same command continues the load: {error}")
    if not loaded:
        console.print("there are other videos already; nothing was loaded")
        return
    _summary(console, progress)
    sys.exit(3 if progress.bad_rows else 0)


def _parser() -> argparse.ArgumentParser:
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
        help="password of the people that are created; the files hold no password that could be used (default: %(default)s)",
    )
    parser.add_argument(
        "--most-plays",
        type=_number(0),
        metavar="N",
        help="at most N plays for each video; default: as many as the files say",
    )
    parser.add_argument(
        "--at-once", type=_number(1), default=32, metavar="N", help="calls under way at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to repeat a call while a service is away (default: %(default)g)",
    )
    parser.add_argument("--if-empty", action="store_true", help="do nothing if there are other videos already")
    return parser


async def _load(
    arguments: argparse.Namespace, settings: Settings, data: DataSet, progress: LoadProgress, console: Console
) -> bool:
    """Find the services and load. Returns False if --if-empty was given and there are other videos. Raises ServicesAway."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    options = Options(
        arguments.password, max_plays=arguments.most_plays, max_calls=arguments.at_once, patience=arguments.wait
    )
    async with Services.from_settings(settings) as services:
        loader = Loader(services, progress, options)
        if arguments.if_empty and not await loader.is_wanted(data):
            return False
        with _bars(console, progress):
            await loader.load(data)
    return True


@contextmanager
def _bars(console: Console, progress: LoadProgress) -> Iterator[None]:
    """A bar for each kind of thing, on a terminal; the summary is enough elsewhere."""
    if not console.is_terminal:
        yield
        return
    columns = (
        bars.TextColumn("{task.description:>10}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console) as display:
        tasks: dict[Kind, bars.TaskID] = {}

        def show(kind: Kind, count: Count) -> None:
            if kind not in tasks:
                tasks[kind] = display.add_task(kind)
            display.update(tasks[kind], total=count.total, completed=count.added + count.there + count.skipped)

        progress.on_change = show
        yield


def _summary(console: Console, progress: LoadProgress) -> None:
    """Print what was added, what was there, and which rows were skipped."""
    table = Table()
    for heading in ("", "in the files", "added", "there already", "skipped"):
        table.add_column(heading, justify="right" if heading else "left")
    for kind, count in progress.counts.items():
        table.add_row(kind, *(f"{number:,}" for number in (count.total, count.added, count.there, count.skipped)))
    console.print(table)
    for bad in progress.bad_rows[:_MAX_BAD_ROWS_SHOWN]:
        console.print(f"skipped {bad.source}: {bad.reason}", markup=False, highlight=False, soft_wrap=True)
    if (more := len(progress.bad_rows) - _MAX_BAD_ROWS_SHOWN) > 0:
        console.print(f"and {more:,} more rows")


def _number(minimum: int) -> Callable[[str], int]:
    """Reads an option that is a whole number of at least `minimum`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {minimum}")
        return int(text)

    return number


if __name__ == "__main__":
    main()
