"""Reads the command line, loads the settings and runs the command."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NoReturn

from grpc_discovery.addresses import MAX_PORT, check_service_name, parse_host
from grpc_discovery.cli import advertise, call, listing
from grpc_discovery.cli.context import CommandError, Context
from grpc_discovery.environment import SettingsError
from grpc_discovery.settings import METRICS_PORT_OFFSET, Settings
from grpc_discovery.telemetry.calls import TRACE_KEY

_EXTRAS = {"rich": "cli", "grpc_reflection": "cli", "uvicorn": "telemetry", "prometheus_client": "telemetry"}
_Run = Callable[[Context], Coroutine[Any, Any, int]]

_ABOUT = """Find services that advertise themselves in a registry, see how they are, and call them.

    {program} list                                 names, their instances and how they are
    {program} watch [NAME ...]                     the same, live; in a pipe one line for each change
    {program} call NAME                            its methods
    {program} call NAME METHOD '{{"field": "value"}}'
    {program} wait [NAME ...] --timeout 60         until each has an instance that serves
    {program} advertise web 10.0.0.5:3000          keep an entry for a program that does not do so itself
    {program} sd [NAME ...]                        their targets for Prometheus, over HTTP
"""
_CODES = """Exit codes: 0 done; 1 the call failed, or what was waited for did not come; 2 wrong use;
3 the registry gives no answer (list, watch); 130 stopped by Ctrl-C."""


def main(
    argv: Sequence[str] | None = None,
    *,
    program: str = "grpc-discovery",
    load: Callable[[], Settings] | None = None,
    short_names: Mapping[str, str] | None = None,
    trace_key: str = TRACE_KEY,
) -> int:
    """Run the command line and return its exit code; wrong use raises SystemExit(2), as argparse does.

    A program with services of its own gives its name, what loads its settings, its services' short names (short -> full name), and the
    metadata by which they are asked what a call did, where they have one of their own.
    """
    arguments = _parser(program, own_settings=load is not None).parse_args(argv)
    logging.basicConfig(level=logging.CRITICAL)
    if argv is None and arguments.run is not advertise.keep:
        # This process is the command line: what gRPC's core writes on standard error is for its developers. `advertise` hands its
        # environment on to the command that it runs.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        settings = load() if load else _settings(arguments)
        code: int = asyncio.run(arguments.run(Context(settings, arguments, short_names or {}, trace_key)))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our pipe has seen enough; nothing is left to be flushed into it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CommandError, SettingsError, ImportError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
            error = ImportError(f"{error.name} is not installed: pip install 'grpc-discovery[{_EXTRAS[error.name]}]'")
        print(error, file=sys.stderr)
        return error.code if isinstance(error, CommandError) else 2
    return code


def _settings(arguments: argparse.Namespace) -> Settings:
    given = {name: vars(arguments)[name] for _, name, _, _ in _SETTINGS if name in arguments}
    return Settings.from_environment(given.pop("prefix", "DISCOVERY_"), **given)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence; the usage is what --help is for."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _parser(program: str, *, own_settings: bool) -> argparse.ArgumentParser:
    shared = _Parser(add_help=False)
    if not own_settings:
        # Before or behind the command; they go before the environment.
        group = shared.add_argument_group("settings")
        for option, name, metavar, about in _SETTINGS:
            group.add_argument(option, dest=name, metavar=metavar, default=argparse.SUPPRESS, help=about)
    form = argparse.RawDescriptionHelpFormatter
    about = _ABOUT.format(program=program)
    parser = _Parser(prog=program, description=about, epilog=_CODES, formatter_class=form, parents=[shared])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, about, add_options) in _COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about, parents=[shared])
        command.set_defaults(run=run)
        add_options(command)
    return parser


def _list(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", type=_name, metavar="NAME", help="Default: all that are known.")
    command.add_argument("--json", action="store_true", help="Print one JSON object for each instance.")
    command.add_argument("--timeout", type=_seconds, default=5.0, help="Seconds to wait for the registry (default 5).")


def _wait(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", type=_name, metavar="NAME", help="Default: all that are known.")
    command.add_argument("--timeout", type=_seconds, default=60.0, help="Seconds to wait at most (default 60).")


def _call(command: argparse.ArgumentParser) -> None:
    request = "Default: {}. For a stream an array. `-` reads standard input; a stream may be one object a line there."
    command.add_argument("names", nargs=1, type=_name, metavar="NAME")
    command.add_argument("method", nargs="?", metavar="METHOD")
    command.add_argument("request", nargs="?", default="{}", metavar="JSON", help=request)
    command.add_argument("--address", metavar="HOST:PORT", help="Call this instance, without a registry.")
    command.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="May be repeated.")
    command.add_argument("--timeout", type=_seconds, help="Seconds to wait for the answer.")
    told = "Show on standard error what the call did: instance, attempts, statements, rows, milliseconds."
    command.add_argument("--trace", action="store_true", help=told)
    command.add_argument("--verbose", action="store_true", help="Print trailing metadata too, on standard error.")


def _advertise(command: argparse.ArgumentParser) -> None:
    run = "Run this with its arguments, withdraw when it ends, and end with its exit code."
    command.add_argument("name", type=_name, metavar="NAME", help="Name in the registry, such as web.")
    command.add_argument("address", metavar="HOST:PORT", help="Where callers find it.")
    command.add_argument("--instance", help="Name of the instance (default: the address).")
    command.add_argument("--while", dest="command", nargs=argparse.REMAINDER, metavar="COMMAND", help=run)


async def _serve_targets(context: Context) -> int:
    """Loaded when it is asked for: it needs what no other command does."""
    from grpc_discovery.cli import sd

    return await sd.serve(context)


def _sd(command: argparse.ArgumentParser) -> None:
    about = "A service that has metrics. Default: all that the program knows."
    offset = f"How far above the advertised port that of the metrics is (default {METRICS_PORT_OFFSET})."
    command.add_argument("names", nargs="*", type=_name, metavar="NAME", help=about)
    command.add_argument("--host", type=_host, default="127.0.0.1", help="Address to bind (default 127.0.0.1).")
    command.add_argument("--port", type=_port, default=8998, help="Port to bind (default 8998).")
    command.add_argument("--offset", type=_port, default=METRICS_PORT_OFFSET, metavar="PORTS", help=offset)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {MAX_PORT}")
    return int(text)


def _checked(parse: Callable[[str], str]) -> Callable[[str], str]:
    """A type of argparse that says, with the words of `parse`, why a text is none."""

    def checked(text: str) -> str:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


_host = _checked(parse_host)
_name = _checked(check_service_name)
"""A name as a registry can hold it; also a short one such as `video-catalog`."""


def _seconds(text: str) -> float:
    """A time limit: a number above 0."""
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return limit


_SETTINGS = (
    ("--prefix", "prefix", "PREFIX_", "What the settings' environment variables begin with (default DISCOVERY_)."),
    ("--etcd", "etcd", "HOST:PORT", "Addresses of etcd, with commas between them."),
    ("--root", "registry_root", "/PATH", "Path in etcd below which the entries lie."),
    ("--names", "registry_names", "full|short", "Names there: full (acme.greeter.v1.Greeter) or short (Greeter)."),
    ("--discovery", "discovery", "KIND", "Kind of registry: auto, etcd-v2, etcd-v3, dns or static."),
)
_COMMANDS: dict[str, tuple[_Run, str, Callable[[argparse.ArgumentParser], None]]] = {
    "list": (listing.show, "Show names, their instances and how these are.", _list),
    "watch": (listing.watch, "Show instances as they come, go and change, until Ctrl-C.", _list),
    "call": (call.make, "Make one call in JSON. Without a method: show the methods.", _call),
    "wait": (listing.wait, "Return when each name has an instance that serves.", _wait),
    "advertise": (advertise.keep, "Keep an entry until stopped, or while a command runs.", _advertise),
    "sd": (_serve_targets, "Serve the targets of services that have metrics, for Prometheus, until stopped.", _sd),
}
