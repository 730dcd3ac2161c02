"""Telling a person what a command waits for, and why: from the lines in which the services say it."""

import json
import time
from collections.abc import Callable, Iterable

from infra.progress import say

PATIENCE_SECONDS = 5.0
"""Nothing is said of a wait that is shorter."""

REPEAT_SECONDS = 15.0

_WAITING = "waiting for "


class Waiting:
    """Says what is waited for when that changes and every REPEAT_SECONDS, with the seconds waited so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, tell: Callable[[str], None] = say) -> None:
        self._clock, self._tell = clock, tell
        self._begun = clock()
        self._said, self._said_at = "", self._begun

    @property
    def is_long(self) -> bool:
        """Whether it has taken so long that a person wonders."""
        return self._clock() - self._begun >= PATIENCE_SECONDS

    def show(self, what: str) -> None:
        """It is `what` that is waited for just now."""
        now = self._clock()
        if self.is_long and (what != self._said or now - self._said_at >= REPEAT_SECONDS):
            self._said, self._said_at = what, now
            self._tell(f"waiting for {what} ({now - self._begun:.0f} s)")


def with_reasons(slugs: Iterable[str], log: str) -> str:
    """The services by name, each with what it says itself that it waits for in supervisord's log; those with one reason together."""
    reasons = _last_waits(log.splitlines())
    by_reason: dict[str, list[str]] = {}
    for slug in slugs:
        by_reason.setdefault(reasons.get(slug, ""), []).append(slug)
    return "; ".join(
        f"{', '.join(together)}, {'which is' if len(together) == 1 else 'which are'} {reason}"
        if reason
        else ", ".join(together)
        for reason, together in by_reason.items()
    )


def _last_waits(lines: Iterable[str]) -> dict[str, str]:
    """Slug -> `waiting for …`, where that is the last line of one of its instances."""
    waits: dict[str, str] = {}
    for line in lines:
        slug, message = _parse(line)
        if slug:
            waits[slug] = message[message.find(_WAITING) :] if _WAITING in message else ""
    return waits


def _parse(line: str) -> tuple[str, str]:
    """Slug and message of a line in one of the two forms of infra/crashloop.py; '' for a line of somebody else."""
    if line.startswith('{"instance": '):
        try:
            entry = json.loads(line)
        except ValueError:
            return "", ""
        return str(entry["instance"]).rpartition("-")[0], str(entry.get("message", ""))
    name, separator, message = line.partition(" | ")
    return (name.rpartition("-")[0], message) if separator else ("", "")
