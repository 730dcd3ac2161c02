"""A database whose operations are measured and, where the call that they are made for is recorded, told as spans of it.

Names follow OpenTelemetry's semantic conventions 1.44.0 for databases. Spans hold the statements as they are prepared, never the values.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any, TypeVar

from common.database.interface import Database, Outcome, Row, Select, Statement, Values, Write, WriteIf
from common.metrics import database_operations
from common.settings import Settings
from grpc_discovery.telemetry.spans import Span, enter, leave, recorded

_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+([\w.]+)", re.IGNORECASE)
_ROWS = "db.response.returned_rows"

Result = TypeVar("Result")


def observed(database: Database, settings: Settings) -> Database:
    """The database to use: `database` itself where neither metrics nor traces are on."""
    telemetry = settings.telemetry
    is_on = telemetry.is_measured or telemetry.trace_ratio > 0 or settings.tells_callers
    return ObservedDatabase(database, settings.cassandra.keyspace) if is_on else database


class _Operation:
    """What is known of an operation before it begins: its name, and the name and attributes of its span."""

    __slots__ = ("attributes", "name", "observe", "span_name")

    def __init__(self, name: str, span_name: str, attributes: dict[str, Any]) -> None:
        self.name, self.span_name, self.attributes = name, span_name, attributes
        self.observe = database_operations(name).observe

    def observe_failure(self, error: str, seconds: float) -> None:
        """It has raised an error of this class."""
        database_operations(self.name, error).observe(seconds)

    def span(self, parent: Span) -> Span:
        """Begin a span of one such operation."""
        return parent.child(self.span_name, "CLIENT", self.attributes.copy())


class _Operations(dict[Statement, _Operation]):
    """The operation of each statement, worked out when it is first asked for."""

    def __init__(self, keyspace: str) -> None:
        super().__init__()
        self.always = {"db.system.name": "cassandra", "db.namespace": keyspace}

    def __missing__(self, statement: Statement) -> _Operation:
        name = statement.cql.split(maxsplit=1)[0].upper()
        attributes = {**self.always, "db.operation.name": name, "db.query.text": statement.cql}
        table = _TABLE.search(statement.cql)
        if table:
            attributes["db.collection.name"] = table[1]
        operation = self[statement] = _Operation(name, f"{name} {table[1]}" if table else name, attributes)
        return operation


class ObservedDatabase:
    """The Database of a driver, observed. It costs about a microsecond for each operation that is not recorded."""

    def __init__(self, database: Database, keyspace: str) -> None:
        self._database = database
        self._operations = _Operations(keyspace)
        self._batch = _Operation("BATCH", "BATCH", {**self._operations.always, "db.operation.name": "BATCH"})
        # No operations of a repository: nothing is to be told of them.
        self.prepare, self.answers, self.close = database.prepare, database.answers, database.close

    def select(self, statement: Select[Row], *values: Any) -> Coroutine[Any, Any, list[Row]]:
        """See Database."""
        return _observed(self._operations[statement], self._database.select(statement, *values), len)

    def select_one(self, statement: Select[Row], *values: Any) -> Coroutine[Any, Any, Row | None]:
        """See Database."""
        return _observed(self._operations[statement], self._database.select_one(statement, *values), _one_or_none)

    async def scan(self, statement: Select[Row], *values: Any) -> AsyncIterator[Row]:
        """See Database. Its duration is how long rows were waited for, without what is done with them in between."""
        operation, parent = self._operations[statement], recorded()
        span = operation.span(parent) if parent else None
        rows = aiter(self._database.scan(statement, *values))
        number, seconds, failure = 0, 0.0, ""
        try:
            while True:
                asked = perf_counter()
                try:
                    row = await anext(rows)
                finally:
                    seconds += perf_counter() - asked
                number += 1
                yield row
        except StopAsyncIteration:
            pass
        except (Exception, asyncio.CancelledError) as error:
            failure = type(error).__name__
            raise
        finally:
            if failure:
                operation.observe_failure(failure, seconds)
            else:
                operation.observe(seconds)
            if span:
                span.attributes[_ROWS] = number
                span.end(failure)

    def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> Coroutine[Any, Any, None]:
        """See Database."""
        work = self._database.write(statement, *values, timestamp_us=timestamp_us)
        return _observed(self._operations[statement], work)

    def batch(
        self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None
    ) -> Coroutine[Any, Any, None]:
        """See Database."""
        return _observed(self._of_batch(steps), self._database.batch(steps, timestamp_us))

    def batch_unlogged(
        self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None
    ) -> Coroutine[Any, Any, None]:
        """See Database."""
        return _observed(self._of_batch(steps), self._database.batch_unlogged(steps, timestamp_us))

    def write_if(self, statement: WriteIf, *values: Any) -> Coroutine[Any, Any, Outcome]:
        """See Database."""
        return _observed(self._operations[statement], self._database.write_if(statement, *values))

    def batch_if(self, steps: Sequence[tuple[Write, Values]]) -> Coroutine[Any, Any, Outcome]:
        """See Database."""
        return _observed(self._of_batch(steps), self._database.batch_if(steps))

    def _of_batch(self, steps: Sequence[tuple[Write, Values]]) -> _Operation:
        """The operation of a batch; with its statements, each once, only where somebody will read them."""
        if recorded() is None:
            return self._batch
        attributes = {
            **self._batch.attributes,
            "db.query.text": "; ".join(dict.fromkeys(each.cql for each, _ in steps)),
        }
        if len(steps) > 1:  # by the conventions, a batch of one is none
            attributes["db.operation.batch.size"] = len(steps)
        return _Operation("BATCH", "BATCH", attributes)


def _observed(
    operation: _Operation, work: Awaitable[Result], rows_of: Callable[[Result], int] | None = None
) -> Coroutine[Any, Any, Result]:
    """Do `work`, measured, and recorded where the present call is; `rows_of` tells how many rows its result has."""
    parent = recorded()
    return _measured(operation, work) if parent is None else _recorded(parent, operation, work, rows_of)


async def _measured(operation: _Operation, work: Awaitable[Result]) -> Result:
    began = perf_counter()
    try:
        result = await work
    except BaseException as error:
        operation.observe_failure(type(error).__name__, perf_counter() - began)
        raise
    operation.observe(perf_counter() - began)
    return result


async def _recorded(
    parent: Span, operation: _Operation, work: Awaitable[Result], rows_of: Callable[[Result], int] | None
) -> Result:
    span, failure = operation.span(parent), ""
    token = enter(span)  # so that it is the one which is told of a retry
    try:
        result = await _measured(operation, work)
        if rows_of:
            span.attributes[_ROWS] = rows_of(result)
        return result
    except BaseException as error:
        failure = type(error).__name__
        raise
    finally:
        span.end(failure)
        leave(token)


def _one_or_none(row: object) -> int:
    return 0 if row is None else 1
