"""A database that counts: how many statements a call sends, and how many rows it reads."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeVar

from common.database import Database, Outcome, Select, Statement, Values, Write, WriteIf

Row = TypeVar("Row", bound=tuple[Any, ...])


class CountingDatabase:
    """A database that counts the statements sent and the rows read. It does not send the writes in `skipped`."""

    def __init__(self, database: Database, skipped: frozenset[Write] = frozenset()) -> None:
        self._database = database
        self._skipped = skipped
        self.statements = self.rows = 0

    async def prepare(self, statements: Iterable[Statement]) -> None:
        """Do nothing: the statements are prepared already."""

    async def select(self, statement: Select[Row], *values: Any) -> list[Row]:
        """The rows, counting."""
        rows = await self._database.select(statement, *values)
        self.statements += 1
        self.rows += len(rows)
        return rows

    async def select_one(self, statement: Select[Row], *values: Any) -> Row | None:
        """The row, counting."""
        row = await self._database.select_one(statement, *values)
        self.statements += 1
        self.rows += row is not None
        return row

    def scan(self, statement: Select[Row], *values: Any) -> AsyncIterator[Row]:
        """The rows, uncounted: no call scans."""
        return self._database.scan(statement, *values)

    async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
        """The write."""
        await self._database.write(statement, *values, timestamp_us=timestamp_us)

    async def batch(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """The batch, without the skipped writes."""
        kept = [step for step in steps if step[0] not in self._skipped]
        if kept:
            await self._database.batch(kept, timestamp_us)

    async def batch_unlogged(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """The batch, without the skipped writes."""
        kept = [step for step in steps if step[0] not in self._skipped]
        if kept:
            await self._database.batch_unlogged(kept, timestamp_us)

    async def write_if(self, statement: WriteIf, *values: Any) -> Outcome:
        """The lightweight transaction."""
        return await self._database.write_if(statement, *values)

    async def batch_if(self, steps: Sequence[tuple[Write, Values]]) -> Outcome:
        """The lightweight transaction of several writes."""
        return await self._database.batch_if(steps)

    async def answers(self) -> bool:
        """Whether the database answers."""
        return await self._database.answers()

    async def close(self) -> None:
        """Do nothing: the database is closed where it was opened."""
