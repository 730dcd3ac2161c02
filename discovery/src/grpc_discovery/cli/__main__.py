"""The client on the command line: who is there, what comes and goes, a call, a wait, an entry kept for another program.

    python -m client list                                     services, instances, their health, since when
    python -m client watch [SERVICE …]                        the same, live; in a pipe one line for each change
    python -m client call VideoCatalogService GetLatestVideoPreviews '{"page_size": 5}'
    python -m client wait [SERVICE …] --timeout 60            until each has an instance that serves
    python -m client advertise web 10.0.75.1:3000 [--while COMMAND …]

A service may be named in full (CommentsService) or in short (comments).
Exit codes: 0 done; 1 the call failed, or what was waited for did not come; 2 wrong use; 3 the registry gives no answer.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from client.commands import advertise, call, listing, wait
from common.registry.names import SERVICES
from common.settings import Settings


def main() -> None:
    """Read the command line and run the command."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    run: Callable[[Settings, argparse.Namespace], Awaitable[int]] = arguments.run
    try:
        sys.exit(asyncio.run(_run(run, arguments)))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our pipe has seen enough.
        sys.stderr.close()
        sys.exit(0)


async def _run(run: Callable[[Settings, argparse.Namespace], Awaitable[int]], arguments: argparse.Namespace) -> int:
    return await run(Settings.load(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[Settings, argparse.Namespace], Awaitable[int]], about: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        return added

    for name, run, about in (
        ("list", listing.show, "Services and their instances at this moment."),
        ("watch", listing.watch, "Instances as they come, go and change their health; until Ctrl-C."),
    ):
        added = command(name, run, about)
        added.add_argument("services", nargs="*", type=service_name, metavar="SERVICE", help="Default: all seven.")
        added.add_argument("--json", action="store_true", help="One JSON object a line.")
        added.add_argument("--timeout", type=seconds, default=5.0, help="Seconds to wait for the registry (default 5).")
    added = command("call", call.make, "Make one call; request and answer are JSON.")
    added.add_argument("service", type=service_name, metavar="SERVICE")
    added.add_argument("method", metavar="METHOD")
    added.add_argument(
        "request", nargs="?", default="{}", metavar="JSON", help="Default: {}. `-` reads it from standard input."
    )
    added.add_argument("--timeout", type=seconds, default=None, help="Seconds to wait for the answer.")
    added = command("wait", wait.until_serving, "Return when each service has an instance that serves.")
    added.add_argument("services", nargs="*", type=service_name, metavar="SERVICE", help="Default: all seven.")
    added.add_argument("--timeout", type=seconds, default=60.0, help="Seconds (default 60).")
    added = command(
        "advertise", advertise.keep, "Keep an entry in the registry, by its TTL, until stopped or while a command runs."
    )
    added.add_argument("service", metavar="NAME", help="Name in the registry, such as web or cassandra.")
    added.add_argument("address", metavar="HOST:PORT")
    added.add_argument("--instance", help="Name of the instance. Default: the address.")
    added.add_argument(
        "--while",
        dest="command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="Run this, and end with its exit code.",
    )
    return parser


def service_name(text: str) -> str:
    """The name in the registry of a service given by its name or its short name."""
    for name, known in SERVICES.items():
        if text in (name, known.slug, known.slug.replace("_", "-")):
            return name
    raise argparse.ArgumentTypeError(f"no such service: {text}. There are: {', '.join(SERVICES)}")


def seconds(text: str) -> float:
    """A time limit: a number above 0."""
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return limit


if __name__ == "__main__":
    main()
