"""How far a load has come: a count for each kind of thing, and the rows that were skipped."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from sampledata.items import BadRow, SourceLine


class Kind(StrEnum):
    """What can be loaded, in the order of loading."""

    PEOPLE = "people"
    VIDEOS = "videos"
    RATINGS = "ratings"
    COMMENTS = "comments"
    PLAYS = "plays"


@dataclass
class Count:
    """How many things of one kind are in the files, and what became of them."""

    total: int = 0
    added: int = 0
    there: int = 0
    """Those that the services had already."""
    skipped: int = 0


@dataclass
class LoadProgress:
    """What a load has done so far. `on_change` is called whenever a count changes."""

    counts: dict[Kind, Count] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)
    on_change: Callable[[Kind, Count], None] = lambda kind, count: None

    def begin(self, kind: Kind, total: int) -> Count:
        """Begin to count things of one kind, `total` in all."""
        count = self.counts[kind] = Count(total)
        self.changed(kind)
        return count

    def skip(self, kind: Kind, source: SourceLine, reason: str, number: int = 1) -> None:
        """Record a row that was not loaded; it counts as `number` things."""
        self.counts[kind].skipped += number
        self.bad_rows.append(BadRow(source, reason))
        self.changed(kind)

    def changed(self, kind: Kind) -> None:
        """Report the count of one kind."""
        self.on_change(kind, self.counts[kind])
