"""What every command is given, how it names services, and how it ends with a sentence."""

import argparse
import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from grpc_discovery.addresses import printable
from grpc_discovery.settings import Settings


class CommandError(Exception):
    """Ends the command: the text goes to standard error, `code` is the exit code."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code


class Context(NamedTuple):
    """The settings, what was typed, and the short names that the program knows (short -> full name)."""

    settings: Settings
    arguments: argparse.Namespace
    short_names: Mapping[str, str]
    trace_key: str
    """The metadata by which a server is asked what a call did."""

    def full_name(self, typed: str) -> str:
        """The full name behind a short name or the last part of a known full name; another name as it is."""
        for short, full in self.short_names.items():
            if typed in (short, short.replace("_", "-"), full.rpartition(".")[2]):
                return full
        return typed

    def names(self) -> dict[str, str]:
        """Name in the registry -> full name, of what was typed; by default of all that the program knows."""
        full_names = map(self.full_name, self.arguments.names or self.short_names.values())
        return {self.settings.registry.name_of(full): full for full in full_names}


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the known name that looks most like `name`; '' if there is none."""
    # What is typed wrong may be the last part of a full name, and in another case.
    parts = {part.lower(): each for each in known for part in (each, each.rpartition(".")[2])}
    close = difflib.get_close_matches(name.lower(), parts, 1)
    return f"; did you mean {printable(parts[close[0]])}?" if close else ""
