"""What a database offers to repositories."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, NewType, Protocol, TypeVar

Row = TypeVar("Row", bound=tuple[Any, ...])
Values = Sequence[Any]

IdText = NewType("IdText", str)
"""The type of a column with an id that is only passed on: its text, in lower case. Making a UUID of it and a text again costs more than reading it."""


@dataclass(frozen=True, eq=False)
class Select(Generic[Row]):
    """A statement that reads. `row` is a NamedTuple whose fields are the selected columns, in their order.

    One that `decides` is read at the consistency of lightweight transactions, whatever the setting for reads says: what is written next rests on it.
    """

    cql: str
    row: type[Row]
    decides: bool = False


@dataclass(frozen=True, eq=False)
class Write:
    """A statement that writes. An idempotent one is repeated while the deadline allows and a node answers; any other (a counter) never.

    One that is `decisive` writes what a Select that `decides` reads: where serial consistency spans data centres, so does the quorum it is written to.
    """

    cql: str
    idempotent: bool = True
    decisive: bool = False


@dataclass(frozen=True, eq=False)
class WriteIf(Write):
    """A lightweight transaction (IF …). Never retried: whether an attempt without an answer was applied is for the caller to find out."""

    idempotent: bool = False


Statement = Select[Any] | Write


class Outcome(NamedTuple):
    """What a conditional write did: whether it was applied, and if not, the rows that stood against it, by column name."""

    applied: bool
    current: list[dict[str, Any]]


class DatabaseError(Exception):
    """A statement the database refuses: a mistake in the program, not in the request."""


class Database(Protocol):
    """A session with prepared statements.

    The newest timestamp wins in Cassandra, and the clocks of two instances may differ. So a write that replaces what another instance may
    have written gives its own: `timestamp_us`, microseconds since 1970, later than the WRITETIME of what it replaces. Without one it is by
    Cassandra's clock, or with acsylla by that of this process (its setting for the former fails). Conditional writes always use Cassandra's.

    Every call is bounded by the caller's deadline and by the setting `database_timeout`. Raises DeadlineExceeded when the deadline has passed,
    Unavailable when the database is away or does not answer in time (then nothing is known of a write), DatabaseError when it refuses.
    """

    async def prepare(self, statements: Iterable[Statement]) -> None:
        """Prepare statements; each must be prepared before it is used."""
        ...

    async def select(self, statement: Select[Row], *values: Any) -> list[Row]:
        """All rows of one statement. Bound it by a LIMIT or by its key; for whole tables there is `scan`."""
        ...

    async def select_one(self, statement: Select[Row], *values: Any) -> Row | None:
        """The first row, or None."""
        ...

    def scan(self, statement: Select[Row], *values: Any) -> AsyncIterator[Row]:
        """The rows of a statement that may have very many, read in chunks as they are asked for."""
        ...

    async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
        """One write."""
        ...

    async def batch(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """Several writes as one LOGGED batch: all of them will be seen, or none."""
        ...

    async def batch_unlogged(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """Several writes in one message, without the log that makes them one: after a failure some may be written, and some not."""
        ...

    async def write_if(self, statement: WriteIf, *values: Any) -> Outcome:
        """One lightweight transaction (IF …)."""
        ...

    async def batch_if(self, steps: Sequence[tuple[Write, Values]]) -> Outcome:
        """Several writes to one partition as one lightweight transaction; at least one is a WriteIf."""
        ...

    async def answers(self) -> bool:
        """Whether the database answers a trivial query just now (within two seconds)."""
        ...

    async def close(self) -> None:
        """Close the session."""
        ...
