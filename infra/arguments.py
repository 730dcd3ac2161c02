"""The arguments of a command, as in `make scale SERVICE=comments N=4`."""

import shlex
from collections.abc import Iterable

from infra.errors import InfraError

NAMES = ("SERVICE", "N", "FOLLOW", "ARGS", "TRIALS")


def read_arguments(arguments: Iterable[str], makeflags: str) -> dict[str, str]:
    """The arguments by name, '' for those that are not given.

    `makeflags` is the variable MAKEFLAGS, in which make passes on its own command line. Raises InfraError for a name of ours in small
    letters, which make would ignore without a word.
    """
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    for name, value in (_overrides(makeflags) | given).items():
        if name not in NAMES and name.upper() in NAMES:
            raise InfraError(f"`{name}={value}` is not understood: write it in capitals, `{name.upper()}={value}`")
    return {name: given.get(name, "") for name in NAMES}


def _overrides(makeflags: str) -> dict[str, str]:
    """The variables on make's command line."""
    try:
        words = shlex.split(makeflags)
    except ValueError:  # a quote that make has passed on as it was typed
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
