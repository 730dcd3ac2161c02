"""The database through acsylla: asyncio over the C++ driver, which does in a thread of its own, without Python, what is dear in Python.

What it reads is not yet what a repository expects: ids are texts and moments know their zone, so each column that a Select declares as
such is converted. The columns of conditional writes are not declared, so their types are asked of Cassandra once.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import acsylla
from acsylla import errors

from common.database.availability import Availability, unanswered, unavailable
from common.database.interface import DatabaseError, Outcome, Row, Select, Statement, Values, Write
from common.database.rows import Convert, row_maker
from common.errors import Unavailable
from common.settings import Settings
from grpc_discovery import time_left
from grpc_discovery.addresses import Address

_CONNECT_SECONDS = 3.0
_RECONNECT_MS = 1000
_HEARTBEAT_SECONDS = 2
_IDLE_SECONDS = 8
# A little less than whoever follows the health waits, so that each question that is not answered is counted.
_ANSWER_SECONDS = 1.8
_CHUNK_ROWS = 500
_ALL_ROWS = -1
# Retry policies, by the names they have in the driver. The first goes to another node when one refuses or fails, and is for idempotent
# statements only; the second never tries anything again.
_NEXT_NODE = "default"
_NEVER_AGAIN = "fallthrough"

# What says that the database is away or too slow, rather than that the statement is wrong.
_AWAY = (
    errors.CassErrorLibNoHostsAvailable,
    errors.CassErrorLibNoStreams,
    errors.CassErrorLibRequestQueueFull,
    errors.CassErrorLibUnableToConnect,
    errors.CassErrorLibWriteError,
    errors.CassErrorServerIsBootstrapping,
    errors.CassErrorServerOverloaded,
    errors.CassErrorServerReadFailure,
    errors.CassErrorServerReadTimeout,
    errors.CassErrorServerServerError,
    errors.CassErrorServerTruncateError,
    errors.CassErrorServerUnavailable,
    errors.CassErrorServerWriteFailure,
    errors.CassErrorServerWriteTimeout,
)

_QUESTION = "SELECT key FROM system.local"
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

    def __init__(self, session: Any, settings: Settings, keyspace: str | None) -> None:
        self._session, self._keyspace = session, keyspace
        self._timeout = settings.cassandra.timeout
        self._read_consistency = acsylla.Consistency[settings.cassandra.read_consistency]
        self._prepared: dict[Statement, _Prepared] = {}
        self._availability = Availability()

    @classmethod
    async def connect(cls, settings: Settings, contact_points: list[Address], keyspace: str | None) -> Self:
        """A session with the cluster at `contact_points`. Raises Unavailable when none of them answers."""
        try:
            datacenter = settings.cassandra.datacenter or await _datacenter(settings, contact_points)
            session = await _session(settings, contact_points, datacenter, keyspace)
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
            prepared = await self._session.create_prepared(statement.cql, consistency=self._read_consistency)
            return _Prepared(prepared, idempotent=True, make=row_maker(statement, _BY_FIELD), columns={})
        prepared = await self._session.create_prepared(
            statement.cql,
            consistency=acsylla.Consistency.LOCAL_QUORUM,
            serial_consistency=acsylla.Consistency.LOCAL_SERIAL,
        )
        conditional = " IF " in statement.cql
        # Whether a conditional attempt without an answer was applied is for the caller to find out: it is not tried again.
        idempotent = statement.idempotent and not conditional
        columns = await self._conversions(statement.cql) if conditional else {}
        return _Prepared(prepared, idempotent, make=tuple, columns=columns)

    async def _conversions(self, cql: str) -> dict[str, Convert]:
        """What is to be done with the columns of the table that a conditional write names."""
        table = _TABLE.search(cql)
        question = acsylla.create_statement(_COLUMNS, parameters=2)
        question.bind_list([self._keyspace, table.group(1) if table else ""])
        types = [row.as_tuple() for row in await self._session.execute(question)]
        plain = {name: kind[len("frozen<") : -1] if kind.startswith("frozen<") else kind for name, kind in types}
        return {name: _BY_COLUMN[kind] for name, kind in plain.items() if kind in _BY_COLUMN}

    async def select(self, statement: Select[Row], *values: Any) -> list[Row]:
        """See Database."""
        prepared = self._prepared[statement]
        make = prepared.make
        return [make(row.as_tuple()) for row in await self._execute(prepared, values)]

    async def select_one(self, statement: Select[Row], *values: Any) -> Row | None:
        """See Database."""
        prepared = self._prepared[statement]
        row = (await self._execute(prepared, values)).first()
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

    async def write(self, statement: Write, *values: Any) -> None:
        """See Database."""
        await self._execute(self._prepared[statement], values)

    async def batch(self, steps: Sequence[tuple[Write, Values]]) -> None:
        """See Database."""
        idempotent = all(statement.idempotent for statement, _ in steps)
        await self._execute_batch(steps, idempotent)

    async def write_if(self, statement: Write, *values: Any) -> Outcome:
        """See Database."""
        prepared = self._prepared[statement]
        return _outcome(await self._execute(prepared, values), prepared.columns)

    async def batch_if(self, steps: Sequence[tuple[Write, Values]]) -> Outcome:
        """See Database."""
        columns = {name: kind for statement, _ in steps for name, kind in self._prepared[statement].columns.items()}
        return _outcome(await self._execute_batch(steps, idempotent=False), columns)

    async def answers(self) -> bool:
        """See Database."""
        question = acsylla.create_statement(_QUESTION, timeout=_ANSWER_SECONDS)
        try:
            await self._session.execute(question)
        except errors.CassException:
            return self._availability.note(False)
        return self._availability.note(True)

    async def close(self) -> None:
        """See Database."""
        await self._session.close()

    async def _execute(
        self, prepared: _Prepared, values: Values, page_size: int = _ALL_ROWS, page_state: bytes | None = None
    ) -> Any:
        seconds = time_left(self._timeout)
        self._availability.require()
        bound = prepared.statement.bind(values, page_size, page_state, seconds)
        if prepared.idempotent:
            bound.set_is_idempotent(True)
            bound.set_retry_policy(_NEXT_NODE)
        try:
            return await self._session.execute(bound)
        except errors.CassException as error:
            raise _translated(error) from error

    async def _execute_batch(self, steps: Sequence[tuple[Write, Values]], idempotent: bool) -> Any:
        seconds = time_left(self._timeout)
        self._availability.require()
        batch = acsylla.create_batch_logged(seconds)
        batch.set_consistency(acsylla.Consistency.LOCAL_QUORUM)
        batch.set_serial_consistency(acsylla.Consistency.LOCAL_SERIAL)
        if idempotent:
            batch.set_is_idempotent(True)
            batch.set_retry_policy(_NEXT_NODE)
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


async def _datacenter(settings: Settings, contact_points: list[Address]) -> str:
    """The data centre of the first contact point that answers, so that no statement goes to another one."""
    session = await _session(settings, contact_points, None, None)
    try:
        result = await session.execute(acsylla.create_statement("SELECT data_center FROM system.local"))
        return str(result.first().as_tuple()[0])
    finally:
        await session.close()


async def _session(
    settings: Settings, contact_points: list[Address], datacenter: str | None, keyspace: str | None
) -> Any:
    """A session of the driver. Who is cancelled meanwhile waits until the attempt has ended, by its time-out if need be.

    The driver blocks the whole process, for good, when a session is dropped that is still connecting.
    """
    cluster = _cluster(settings, contact_points, datacenter, await _local_address(contact_points[0].host))
    attempt = asyncio.ensure_future(cluster.create_session(keyspace))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        await asyncio.wait([attempt])
        if attempt.exception() is None:
            await attempt.result().close()
        raise


async def _local_address(host: str) -> str | None:
    """What the driver binds before it connects. Unless told so it makes sockets for IPv4 only, and cannot connect to an IPv6 address."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return None  # the driver will say that it finds nobody
    return "::" if {family for family, *_ in found} == {socket.AF_INET6} else None


def _cluster(
    settings: Settings, contact_points: list[Address], datacenter: str | None, local_address: str | None
) -> Any:
    cassandra = settings.cassandra
    name, password = cassandra.user or (None, None)
    port = contact_points[0][1]
    return acsylla.create_cluster(
        # All nodes of a cluster listen at one port.
        [host for host, its_port in contact_points if its_port == port],
        port=port,
        local_address=local_address,
        username=name,
        password=password,
        ssl_enabled=cassandra.enable_ssl,
        ssl_trusted_cert=_text(cassandra.tls.ca),
        ssl_cert=_text(cassandra.tls.certificate),
        ssl_private_key=_text(cassandra.tls.key),
        # Nodes are known by address; the CA decides whom to trust.
        ssl_verify_flags=acsylla.SSLVerifyFlags.PEER_CERT,
        protocol_version=acsylla.ProtocolVersion.V4,
        consistency=acsylla.Consistency.LOCAL_QUORUM,
        serial_consistency=acsylla.Consistency.LOCAL_SERIAL,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=cassandra.timeout,
        load_balance_dc_aware=datacenter,
        retry_policy=_NEVER_AGAIN,
        exponential_reconnect_base_delay_ms=_RECONNECT_MS // 4,
        exponential_reconnect_max_delay_ms=_RECONNECT_MS,  # a constant delay, if given, is not heeded
        heartbeat_interval_sec=_HEARTBEAT_SECONDS,
        idle_timeout_sec=_IDLE_SECONDS,
        prepare_on_all_hosts=False,
        log_level="critical",  # what matters of it comes as errors of statements, and as health
        application_name="killrvideo",
    )


def _text(path: Path | None) -> str | None:
    return path.read_text() if path else None


def _translated(error: Exception) -> Exception:
    if isinstance(error, errors.CassErrorLibRequestTimedOut):
        return unanswered()
    return unavailable() if isinstance(error, _AWAY) else DatabaseError(str(error))
