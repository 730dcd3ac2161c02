"""A database that counts: how many statements a call sends, and how many rows it reads."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeVar

from common.database import Database, Outcome, Select, Statement, Values, Write, WriteIf

Row = TypeVar("Row", bound=tuple[Any, ...])


class Counted:
    """A database that counts the statements sent and the rows read, and leaves out writes that it is told to."""

    def __init__(self, database: Database, left_out: frozenset[Write] = frozenset()) -> None:
        self._database = database
        self._left_out = left_out
        self.statements = self.rows = 0

    async def prepare(self, statements: Iterable[Statement]) -> None:
        """Nothing: that was done."""

    async def select(self, statement: Select[Row], *values: Any) -> list[Row]:
        """The rows, counted."""
        found = await self._database.select(statement, *values)
        self.statements += 1
        self.rows += len(found)
        return found

    async def select_one(self, statement: Select[Row], *values: Any) -> Row | None:
        """The row, counted."""
        found = await self._database.select_one(statement, *values)
        self.statements += 1
        self.rows += found is not None
        return found

    def scan(self, statement: Select[Row], *values: Any) -> AsyncIterator[Row]:
        """The rows, uncounted: no call scans."""
        return self._database.scan(statement, *values)

    async def write(self, statement: Write, *values: Any) -> None:
        """The write."""
        await self._database.write(statement, *values)

    async def batch(self, steps: Sequence[tuple[Write, Values]]) -> None:
        """The batch, without what is left out."""
        kept = [step for step in steps if step[0] not in self._left_out]
        if kept:
            await self._database.batch(kept)

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
        """Nothing: whoever opened the database closes it."""
