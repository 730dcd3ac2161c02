"""The database through acsylla: asyncio over the C++ driver, which does the costly work in a thread of its own, without Python.

What it reads is not yet what a repository expects: ids are texts and timestamps have a zone, so each column that a Select declares as
such is converted. The columns of conditional writes are not declared, so their types are asked of Cassandra once.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import acsylla
from acsylla import errors

from common.caches import STATEMENT_BYTES, CacheSize, watch
from common.database.acsylla_session import local_datacenter, open_session
from common.database.availability import Availability, TooFewReplicas, WriteTimedOut, too_few, unanswered, unavailable
from common.database.interface import DatabaseError, Outcome, Row, Select, Statement, Values, Write, WriteIf
from common.database.repeating import read_again, repeated
from common.database.rows import Convert, made_in_slices, row_maker
from common.errors import Unavailable
from common.settings import CassandraSettings
from grpc_discovery import time_left
from grpc_discovery.addresses import Address

# A little less than whoever follows the health waits, so that each query that is not answered is counted.
_ANSWER_SECONDS = 1.8
_CHUNK_ROWS = 500
_ALL_ROWS = -1
# A retry policy, by its name in the driver: another node is tried when one refuses or fails. For idempotent statements only.
_NEXT_NODE = "default"

# What says that the database is away or too slow, rather than that the statement is wrong.
_AWAY = (
    errors.CassErrorLibNoHostsAvailable,
    errors.CassErrorLibNoStreams,
    errors.CassErrorLibRequestQueueFull,
    errors.CassErrorLibUnableToConnect,
    errors.CassErrorServerTruncateError,
)
# What a node says that answers, while others do not; or the connection to a node was lost, while those to others may be there.
_TOO_FEW = (
    errors.CassErrorLibWriteError,
    errors.CassErrorServerIsBootstrapping,
    errors.CassErrorServerOverloaded,
    errors.CassErrorServerReadFailure,
    errors.CassErrorServerReadTimeout,
    errors.CassErrorServerServerError,
    errors.CassErrorServerUnavailable,
    errors.CassErrorServerWriteFailure,
    errors.CassErrorServerWriteTimeout,
)

_PROBE = "SELECT key FROM system.local"
_COLUMNS = "SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?"
_TABLE = re.compile(r"\b(?:INTO|UPDATE|FROM)\s+(\w+)", re.IGNORECASE)


def _naive(timestamp: datetime) -> datetime:
    return timestamp.replace(tzinfo=None)


def _uuid_set(texts: Iterable[str]) -> set[UUID]:
    return set(map(UUID, texts))


def _uuid_list(texts: Iterable[str]) -> list[UUID]:
    return list(map(UUID, texts))


_BY_FIELD: dict[Any, Convert] = {UUID: UUID, datetime: _naive, set[UUID]: _uuid_set, list[UUID]: _uuid_list}
_BY_COLUMN: dict[str, Convert] = {
    "uuid": UUID,
    "timeuuid": UUID,
    "timestamp": _naive,
    "set<uuid>": _uuid_set,
    "list<uuid>": _uuid_list,
}


@dataclass(frozen=True)
class _Prepared:
    """A prepared statement, how its rows are made, and which columns of its outcome are to be converted."""

    statement: Any
    idempotent: bool
    make: Callable[[Iterable[Any]], Any]
    columns: dict[str, Convert]


class AcsyllaDriver:
    """A Database on acsylla."""

    def __init__(self, session: Any, settings: CassandraSettings, keyspace: str | None) -> None:
        self._session, self._keyspace = session, keyspace
        self._timeout = settings.timeout
        self._read_consistency = acsylla.Consistency[settings.read_consistency]
        self._serial_consistency = acsylla.Consistency[settings.serial_consistency]
        self._prepared: dict[Statement, _Prepared] = {}
        self._availability = Availability()
        watch("statements", self, lambda driver: CacheSize.estimated(len(driver._prepared), STATEMENT_BYTES))

    @classmethod
    async def connect(cls, settings: CassandraSettings, contact_points: list[Address], keyspace: str | None) -> Self:
        """A session with the cluster at `contact_points`. Raises Unavailable when none of them answers."""
        try:
            datacenter = settings.datacenter or await local_datacenter(settings, contact_points)
            session = await open_session(settings, contact_points, datacenter, keyspace)
        except errors.CassException as error:
            where = ", ".join(map(str, contact_points))
            raise Unavailable(f"no connection to {where}: {error}") from error
        return cls(session, settings, keyspace)

    async def prepare(self, statements: Iterable[Statement]) -> None:
        """See Database."""
        for statement in statements:
            try:
                self._prepared[statement] = await self._prepare(statement)
            except errors.CassException as error:
                raise _translated(error) from error

    async def _prepare(self, statement: Statement) -> _Prepared:
        if isinstance(statement, Select):
            consistency = self._serial_consistency if statement.decides else self._read_consistency
            prepared = await self._session.create_prepared(statement.cql, consistency=consistency)
            return _Prepared(prepared, idempotent=True, make=row_maker(statement, _BY_FIELD), columns={})
        prepared = await self._session.create_prepared(
            statement.cql,
            consistency=self._write_consistency([statement]),
            serial_consistency=self._serial_consistency,
        )
        columns = await self._conversions(statement.cql) if isinstance(statement, WriteIf) else {}
        return _Prepared(prepared, statement.idempotent, make=tuple, columns=columns)

    async def _conversions(self, cql: str) -> dict[str, Convert]:
        """What is to be done with the columns of the table that a conditional write names."""
        table = _TABLE.search(cql)
        query = acsylla.create_statement(_COLUMNS, parameters=2)
        query.bind_list([self._keyspace, table.group(1) if table else ""])
        types = [row.as_tuple() for row in await self._session.execute(query)]
        plain = {name: kind[len("frozen<") : -1] if kind.startswith("frozen<") else kind for name, kind in types}
        return {name: _BY_COLUMN[kind] for name, kind in plain.items() if kind in _BY_COLUMN}

    async def select(self, statement: Select[Row], *values: Any) -> list[Row]:
        """See Database."""
        prepared = self._prepared[statement]
        make = prepared.make
        return await made_in_slices(lambda row: make(row.as_tuple()), await self._read(prepared, values))

    async def select_one(self, statement: Select[Row], *values: Any) -> Row | None:
        """See Database."""
        prepared = self._prepared[statement]
        row = (await self._read(prepared, values)).first()
        return None if row is None else prepared.make(row.as_tuple())

    async def scan(self, statement: Select[Row], *values: Any) -> AsyncIterator[Row]:
        """See Database."""
        prepared = self._prepared[statement]
        page_state: bytes | None = None
        while True:
            chunk = await self._execute(prepared, values, _CHUNK_ROWS, page_state)
            for row in chunk:
                yield prepared.make(row.as_tuple())
            if not chunk.has_more_pages():
                return
            page_state = chunk.page_state()

    async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
        """See Database."""
        prepared = self._prepared[statement]
        await repeated(lambda _: self._execute(prepared, values, timestamp_us=timestamp_us), statement.idempotent)

    async def batch(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """See Database."""
        idempotent = all(statement.idempotent for statement, _ in steps)

        async def attempt(former: TooFewReplicas | None) -> None:
            # A batch that timed out is in the log of a node already, and cannot be logged again while another node is dead.
            logged = not isinstance(former, WriteTimedOut)
            await self._execute_batch(steps, idempotent, logged, timestamp_us)

        await repeated(attempt, idempotent)

    async def batch_unlogged(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """See Database."""
        idempotent = all(statement.idempotent for statement, _ in steps)
        await repeated(lambda _: self._execute_batch(steps, idempotent, False, timestamp_us), idempotent)

    async def write_if(self, statement: WriteIf, *values: Any) -> Outcome:
        """See Database."""
        prepared = self._prepared[statement]
        return _outcome(await self._execute(prepared, values), prepared.columns)

    async def batch_if(self, steps: Sequence[tuple[Write, Values]]) -> Outcome:
        """See Database."""
        columns = {name: kind for statement, _ in steps for name, kind in self._prepared[statement].columns.items()}
        return _outcome(await self._execute_batch(steps, idempotent=False), columns)

    async def answers(self) -> bool:
        """See Database."""
        query = acsylla.create_statement(_PROBE, timeout=_ANSWER_SECONDS)
        query.set_is_idempotent(True)  # any node may answer
        query.set_retry_policy(_NEXT_NODE)
        try:
            await self._session.execute(query)
        except errors.CassException:
            return self._availability.note(False)
        return self._availability.note(True)

    async def close(self) -> None:
        """See Database."""
        await self._session.close()

    def _write_consistency(self, statements: Iterable[Write]) -> acsylla.Consistency:
        spans = self._serial_consistency is acsylla.Consistency.SERIAL and any(each.decisive for each in statements)
        return acsylla.Consistency.QUORUM if spans else acsylla.Consistency.LOCAL_QUORUM

    async def _read(self, prepared: _Prepared, values: Values) -> Any:
        try:
            return await self._execute(prepared, values)
        except TooFewReplicas as error:
            return await read_again(lambda: self._execute(prepared, values), error)

    async def _execute(
        self,
        prepared: _Prepared,
        values: Values,
        page_size: int = _ALL_ROWS,
        page_state: bytes | None = None,
        timestamp_us: int | None = None,
    ) -> Any:
        seconds = time_left(self._timeout)
        self._availability.require()
        bound = prepared.statement.bind(values, page_size, page_state, seconds)
        if prepared.idempotent:
            bound.set_is_idempotent(True)
            bound.set_retry_policy(_NEXT_NODE)
        if timestamp_us is not None:
            bound.set_timestamp(timestamp_us)
        try:
            return await self._session.execute(bound)
        except errors.CassException as error:
            raise _translated(error) from error

    async def _execute_batch(
        self,
        steps: Sequence[tuple[Write, Values]],
        idempotent: bool,
        logged: bool = True,
        timestamp_us: int | None = None,
    ) -> Any:
        seconds = time_left(self._timeout)
        self._availability.require()
        batch = (acsylla.create_batch_logged if logged else acsylla.create_batch_unlogged)(seconds)
        batch.set_consistency(self._write_consistency(statement for statement, _ in steps))
        batch.set_serial_consistency(self._serial_consistency)
        if idempotent:
            batch.set_is_idempotent(True)  # and repeated by us: the driver would try the log of the same nodes again
        if timestamp_us is not None:
            batch.set_timestamp(timestamp_us)
        for statement, values in steps:
            batch.add_statement(self._prepared[statement].statement.bind(values))
        try:
            return await self._session.execute_batch(batch)
        except errors.CassException as error:
            raise _translated(error) from error


def _outcome(result: Any, columns: dict[str, Convert]) -> Outcome:
    rows: list[dict[str, Any]] = [row.as_dict() for row in result]
    applied = bool(rows[0]["[applied]"])
    for row in rows:
        del row["[applied]"]
        for name, convert in columns.items():
            if row.get(name) is not None:
                row[name] = convert(row[name])
    return Outcome(applied, [] if applied else rows)


def _translated(error: Exception) -> Exception:
    if isinstance(error, errors.CassErrorLibRequestTimedOut):
        return unanswered()
    if isinstance(error, _TOO_FEW):
        return too_few(isinstance(error, errors.CassErrorServerWriteTimeout))
    return unavailable() if isinstance(error, _AWAY) else DatabaseError(str(error))
