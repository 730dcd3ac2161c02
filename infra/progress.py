"""What a person reads while a command works. Standard library only."""

import shutil
import sys


def say(line: str) -> None:
    """Print a line, at once."""
    print(line, flush=True)


class Progress:
    """The progress of a long step: one line that is overwritten in a terminal, and a line now and then elsewhere."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._total = total
        self._done = -1 if total is None else 0  # without a total the first step is its title

    def step(self, what: str) -> None:
        """The next one has started."""
        self._done += 1
        count = f"{min(self._done, self._total)} of {self._total}" if self._total else f"{self._done} fetched"
        line = f"{self._title}: {count}, {what}"
        if sys.stdout.isatty():
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        elif self._done % 20 == (0 if self._total is None else 1):
            say(line)

    def end(self, what: str) -> None:
        """The step is done."""
        if sys.stdout.isatty():
            print("\r\033[K", end="")
        say(f"{self._title}: {what}")
