"""The database through cassandra-driver, whose callbacks come in a thread of its own and are bridged here, once, to asyncio.

Answers that arrive close together wake the event loop once: waking it costs more than the answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Self

from cassandra import (
    ConsistencyLevel,
    CoordinationFailure,
    DriverException,
    OperationTimedOut,
    RequestExecutionException,
    Timeout,
    UnresolvableContactPoints,
    WriteTimeout,
)
from cassandra import Unavailable as NotEnoughReplicas
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, NoHostAvailable, ResultSet, Session
from cassandra.connection import ConnectionException
from cassandra.protocol import ErrorMessage, IsBootstrappingErrorMessage, OverloadedErrorMessage
from cassandra.query import (
    BatchStatement,
    BatchType,
    BoundStatement,
    PreparedStatement,
    SimpleStatement,
)

from common.caches import STATEMENT_BYTES, CacheSize, watch
from common.database.availability import (
    Availability,
    TooFewReplicas,
    WriteTimedOut,
    first_reason,
    too_few,
    unanswered,
    unavailable,
)
from common.database.cassandra_answers import Answers
from common.database.cassandra_cluster import CONDITIONAL_PROFILE, build_cluster
from common.database.interface import DatabaseError, IdText, Outcome, Row, Select, Statement, Values, Write, WriteIf
from common.database.repeating import read_again, repeated
from common.database.rows import made_in_slices, row_maker
from common.errors import Unavailable
from common.settings import CassandraSettings
from grpc_discovery import time_left
from grpc_discovery.addresses import Address

# A little less than whoever follows the health waits, so that each probe that is not answered is counted.
_ANSWER_SECONDS = 1.8
_CHUNK_ROWS = 500

# What says that the database is away or too slow, rather than that the statement is wrong.
_AWAY = (
    NoHostAvailable,
    NotEnoughReplicas,
    Timeout,
    UnresolvableContactPoints,
    OperationTimedOut,
    CoordinationFailure,
    ConnectionException,
    RequestExecutionException,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
    OSError,
)
# Types of the driver's own that must not leave it, and ids that are wanted as text.
_CONVERSIONS = {set: set, IdText: str}
# What a node says that answers, while others do not.
_TOO_FEW = (
    NotEnoughReplicas,
    Timeout,
    CoordinationFailure,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
)
# What says that the statement is wrong. Some errors of the protocol (a syntax error is one) have no exception of their own.
_REFUSED = (DriverException, ErrorMessage)


class CassandraDriver:
    """A Database on cassandra-driver."""

    def __init__(self, cluster: Cluster, session: Session, settings: CassandraSettings) -> None:
        self._cluster, self._session = cluster, session
        self._timeout = settings.timeout
        self._read_consistency = ConsistencyLevel.name_to_value[settings.read_consistency]
        self._serial_consistency = ConsistencyLevel.name_to_value[settings.serial_consistency]
        self._prepared: dict[Statement, PreparedStatement] = {}
        self._makers: dict[Select[Any], Callable[[Iterable[Any]], Any]] = {}
        self._answers = Answers(asyncio.get_running_loop())
        self._availability = Availability()
        watch("statements", self, lambda driver: CacheSize.estimated(len(driver._prepared), STATEMENT_BYTES))
        self._timestamp_us: int | None = None
        # Asked by the driver for each statement, within `execute_async`. Without one, Cassandra says when something was written.
        cluster.timestamp_generator = lambda: self._timestamp_us

    @classmethod
    async def connect(cls, settings: CassandraSettings, contact_points: list[Address], keyspace: str | None) -> Self:
        """A session with the cluster at `contact_points`. Raises Unavailable when none of them answers."""
        try:
            cluster = build_cluster(settings, contact_points)
        except UnresolvableContactPoints:
            raise Unavailable(f"none of {', '.join(map(str, contact_points))} is a name that has an address") from None
        try:
            session = await asyncio.to_thread(cluster.connect, keyspace)
        except BaseException as error:
            await asyncio.to_thread(cluster.shutdown)
            if isinstance(error, _AWAY + _REFUSED):
                where = ", ".join(map(str, contact_points))
                raise Unavailable(f"no connection to {where}: {first_reason(error)}") from error
            raise
        session.default_fetch_size = None  # lists are bounded by their own LIMIT; only `scan` reads in chunks
        return cls(cluster, session, settings)

    async def prepare(self, statements: Iterable[Statement]) -> None:
        """See Database."""
        for statement in statements:
            try:
                prepared = await asyncio.to_thread(self._session.prepare, statement.cql)
            except (*_AWAY, *_REFUSED) as error:
                raise _translated(error) from error
            if isinstance(statement, Select):
                prepared.consistency_level = self._serial_consistency if statement.decides else self._read_consistency
                prepared.is_idempotent = True
            else:
                prepared.consistency_level = self._write_consistency([statement])
                prepared.is_idempotent = statement.idempotent
            self._prepared[statement] = prepared
            if isinstance(statement, Select):
                self._makers[statement] = row_maker(statement, _CONVERSIONS)

    async def select(self, statement: Select[Row], *values: Any) -> list[Row]:
        """See Database."""
        rows = await self._read(self._prepared[statement].bind(values))
        return await made_in_slices(self._makers[statement], rows)

    async def select_one(self, statement: Select[Row], *values: Any) -> Row | None:
        """See Database."""
        rows = await self._read(self._prepared[statement].bind(values))
        return self._makers[statement](rows[0]) if rows else None

    async def scan(self, statement: Select[Row], *values: Any) -> AsyncIterator[Row]:
        """See Database."""
        bound, make = self._prepared[statement].bind(values), self._makers[statement]
        bound.fetch_size = _CHUNK_ROWS
        paging_state: bytes | None = None
        while True:
            chunk = await asyncio.to_thread(self._chunk, bound, time_left(self._timeout), paging_state)
            for row in chunk.current_rows:
                yield make(row)
            paging_state = chunk.paging_state
            if not paging_state:
                return

    async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
        """See Database."""
        bound = self._prepared[statement].bind(values)
        await repeated(lambda _: self._execute(bound, timestamp_us=timestamp_us), statement.idempotent)

    async def batch(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """See Database."""
        bound = self._bound_batch(steps)

        async def attempt(former: TooFewReplicas | None) -> None:
            # A batch that timed out is in the log of a node already, and cannot be logged again while another node is dead.
            bound.batch_type = BatchType.UNLOGGED if isinstance(former, WriteTimedOut) else BatchType.LOGGED
            await self._execute(bound, timestamp_us=timestamp_us)

        await repeated(attempt, bound.is_idempotent)

    async def batch_unlogged(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        """See Database."""
        bound = self._bound_batch(steps, BatchType.UNLOGGED)
        await repeated(lambda _: self._execute(bound, timestamp_us=timestamp_us), bound.is_idempotent)

    async def write_if(self, statement: WriteIf, *values: Any) -> Outcome:
        """See Database."""
        return self._outcome(await self._execute_conditional(self._prepared[statement].bind(values)))

    async def batch_if(self, steps: Sequence[tuple[Write, Values]]) -> Outcome:
        """See Database."""
        return self._outcome(await self._execute_conditional(self._bound_batch(steps)))

    async def answers(self) -> bool:
        """See Database."""
        probe = SimpleStatement(
            "SELECT key FROM system.local",
            consistency_level=ConsistencyLevel.LOCAL_ONE,
            is_idempotent=True,  # any node may answer
        )
        try:
            rows = await self._answers.of(self._session.execute_async(probe, timeout=_ANSWER_SECONDS))
        except (*_AWAY, *_REFUSED):
            rows = None
        return self._availability.note(bool(rows))

    async def close(self) -> None:
        """See Database."""
        await asyncio.to_thread(self._cluster.shutdown)

    def _bound_batch(self, steps: Sequence[tuple[Write, Values]], kind: BatchType = BatchType.LOGGED) -> BatchStatement:
        consistency = self._write_consistency(statement for statement, _ in steps)
        batch = BatchStatement(kind, consistency_level=consistency)
        for statement, values in steps:
            batch.add(self._prepared[statement], values)
        batch.is_idempotent = all(statement.idempotent for statement, _ in steps)
        return batch

    def _write_consistency(self, statements: Iterable[Write]) -> int:
        spans = self._serial_consistency == ConsistencyLevel.SERIAL and any(each.decisive for each in statements)
        return int(ConsistencyLevel.QUORUM if spans else ConsistencyLevel.LOCAL_QUORUM)

    async def _execute_conditional(self, bound: BoundStatement | BatchStatement) -> list[dict[str, Any]]:
        bound.serial_consistency_level = self._serial_consistency
        bound.is_idempotent = False  # whether an attempt without an answer was applied is for the caller to find out
        return await self._execute(bound, CONDITIONAL_PROFILE)

    async def _read(self, bound: BoundStatement) -> list[Any]:
        try:
            return await self._execute(bound)
        except TooFewReplicas as error:
            return await read_again(lambda: self._execute(bound), error)

    async def _execute(
        self,
        bound: BoundStatement | BatchStatement,
        profile: Any = EXEC_PROFILE_DEFAULT,
        timestamp_us: int | None = None,
    ) -> list[Any]:
        seconds = time_left(self._timeout)
        self._availability.require()
        try:
            self._timestamp_us = timestamp_us
            response = self._session.execute_async(bound, timeout=seconds, execution_profile=profile)
            return await self._answers.of(response) or []
        except (*_AWAY, *_REFUSED) as error:
            raise _translated(error) from error

    def _chunk(self, bound: BoundStatement, seconds: float, paging_state: bytes | None) -> ResultSet:
        self._availability.require()
        try:
            return self._session.execute(bound, timeout=seconds, paging_state=paging_state)
        except (*_AWAY, *_REFUSED) as error:
            raise _translated(error) from error

    @staticmethod
    def _outcome(rows: list[dict[str, Any]]) -> Outcome:
        applied = bool(rows[0].pop("[applied]"))
        for row in rows[1:]:
            row.pop("[applied]", None)
        return Outcome(applied, [] if applied else rows)


def _translated(error: Exception) -> Exception:
    if isinstance(error, OperationTimedOut):
        return unanswered()
    # Of several nodes that were tried, one answered; or the connection to one was lost, while those to others may be there.
    said = error.errors.values() if isinstance(error, NoHostAvailable) else [error]
    if isinstance(error, ConnectionException) or any(isinstance(each, _TOO_FEW) for each in said):
        return too_few(isinstance(error, WriteTimeout))
    return unavailable() if isinstance(error, _AWAY) else DatabaseError(str(error))
