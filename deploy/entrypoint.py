"""What a container of the image runs: `docker run killrvideo-python [COMMAND] [ARGUMENTS]`.

It replaces itself by the chosen program, so that the program is process 1 and gets SIGTERM itself.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from common.catalogue import SERVICES, SHARED_PORT
from common.settings import PREFIX

EXAMPLE_PASSWORD = "replace-this-example-password"  # noqa: S105  # opens nothing: it is what is refused
"""What deploy/.env.example shows in the place of passwords. Whoever starts with it has forgotten to choose one."""


class Command(NamedTuple):
    """A program of the image: what it is started with, and what it does."""

    arguments: tuple[str, ...]
    does: str


COMMANDS: dict[str, Command] = {
    "supervised": Command(
        ("supervisor.supervisord", "--nodaemon", "--configuration", "supervisord.conf"),
        "all services under supervisord (the default)",
    ),
    **{known.slug: Command((known.module,), f"the {known.slug} service alone") for known in SERVICES.values()},
    "all-in-one": Command(
        ("services",), f"all services, or those named after it, in one process on port {SHARED_PORT}"
    ),
    "schema": Command(("schema",), "creates or upgrades the schema; `schema rebuild` fills the derived tables"),
    "load": Command(("sampledata",), "loads the sample data, or the folder named after it, through the services"),
    "client": Command(("client",), "lists, watches and calls services; `client --help`"),
    "loadtest": Command(("loadtest",), "load on scaling instances; `loadtest --help`"),
    "check": Command(("deploy.check",), "tries one thing of each kind through the services and says what did not work"),
    "health": Command(("deploy.health",), "exit code 0 if every service in this container serves"),
}


def usage() -> str:
    """The help text."""
    lines = "\n".join(f"  {name:<17} {command.does}" for name, command in COMMANDS.items())
    return f"usage: docker run [OPTIONS] IMAGE [COMMAND] [ARGUMENTS]\n\ncommands:\n{lines}\n\nSettings are environment variables; docs/settings.md lists them."


def example_secrets(environment: Mapping[str, str]) -> list[str]:
    """Names of the settings whose value is still the example's, given directly or as a file."""
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    in_files = {
        name.removesuffix("_FILE"): Path(path).read_text(encoding="utf-8", errors="replace").strip()
        for name, path in ours.items()
        if name.endswith("_FILE") and path
    }
    return sorted(name for name, value in (ours | in_files).items() if value == EXAMPLE_PASSWORD)


def chosen(arguments: Sequence[str]) -> list[str]:
    """The command line of the program that `arguments` name. Ends the process for --help and for a name that is none."""
    name, *rest = arguments or ["supervised"]
    if name in ("--help", "-h", "help"):
        print(usage())
        raise SystemExit(0)
    if name not in COMMANDS:
        print(f"no such command: {name}. There are: {', '.join(COMMANDS)}", file=sys.stderr)
        raise SystemExit(2)
    return [sys.executable, "-m", *COMMANDS[name].arguments, *rest]


def main() -> None:
    """Become the chosen program."""
    command = chosen(sys.argv[1:])
    try:
        forgotten = example_secrets(os.environ)
    except OSError as error:
        raise SystemExit(
            f"a secret's file cannot be read: {error}. In a container it must be readable by user {os.getuid()}"
        ) from error
    if forgotten:
        raise SystemExit(
            f"{', '.join(forgotten)} still has the value of the example; choose one of your own (docs/operations.md)"
        )
    os.chdir(Path(__file__).parent.parent)
    os.execv(command[0], command)  # no shell: it would keep signals from the program


if __name__ == "__main__":
    main()
