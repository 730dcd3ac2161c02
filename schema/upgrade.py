"""Creating or upgrading the tables of killrvideo.cql in a database: what it lacks is added, what it holds is left alone.
Options of tables that the file sets (how long rows live, how they are compacted) are set where they differ.

Every statement may be repeated and may run beside another's (IF NOT EXISTS, table ids that follow from the names), so a step that was
killed is simply run again, and two at once do no harm.
"""

import asyncio
import logging
import random
from itertools import groupby
from typing import NamedTuple

from common.database import Database, DatabaseError, Select, Write, connect, explained
from common.errors import Unavailable
from common.settings import Settings
from grpc_discovery.addresses import Address
from schema.tables import CQL_FILE, ColumnRow, OptionsRow, read_tables

INIT_DONE = "kv_init_done"
"""Existing tools take the presence of this keyspace to mean that the schema is complete."""

_RETRY_SECONDS = (0.3, 1.0)
_REFUSALS = (
    5  # a statement may be refused while another schema step is changing the same thing; after so many it is a mistake
)
_STATEMENT_SECONDS = 60.0  # a change of the schema takes far longer than a read or a write
_AGREEMENT_SECONDS = 30.0
_AGREEMENT_POLL_SECONDS = 0.1

_log = logging.getLogger(__name__)


class _KeyspaceRow(NamedTuple):
    name: str


class _VersionRow(NamedTuple):
    version: object


_KEYSPACES = Select("SELECT keyspace_name FROM system_schema.keyspaces", _KeyspaceRow)
_COLUMNS = Select(
    "SELECT table_name, column_name, kind, type FROM system_schema.columns WHERE keyspace_name = ?", ColumnRow
)
_OPTIONS = Select(
    "SELECT table_name, gc_grace_seconds, default_time_to_live, compaction FROM system_schema.tables WHERE keyspace_name = ?",
    OptionsRow,
)
_LOCAL_VERSION = Select("SELECT schema_version FROM system.local", _VersionRow)
_PEER_VERSIONS = Select("SELECT schema_version FROM system.peers_v2", _VersionRow)


async def apply(settings: Settings, contact_points: list[Address]) -> None:
    """Create or upgrade the schema in the Cassandra at `contact_points`, waiting for it without a limit.

    For the schema step, and for tests that have a Cassandra of their own. The keyspace is settings.cassandra.keyspace. When it returns, the
    nodes agree and the keyspace kv_init_done exists. Raises SchemaMismatch when adding columns cannot make a table match, DatabaseError
    when Cassandra refuses a statement again and again.
    """
    database = await wait_for_cassandra(settings, contact_points)
    try:
        refusals, reason = 0, ""
        while True:
            try:
                return await _upgrade(database, settings)
            except (Unavailable, DatabaseError) as error:
                if isinstance(error, DatabaseError):
                    refusals += 1
                    if refusals == _REFUSALS:
                        raise
                if (latest := explained(error, contact_points)) != reason:
                    reason = latest
                    _log.info("the schema step will try again: %s", reason)
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))
    finally:
        await database.close()


async def wait_for_cassandra(
    settings: Settings, contact_points: list[Address], keyspace: str | None = None
) -> Database:
    """A session with the Cassandra at `contact_points`. Waits without a limit, and logs once for each reason."""
    # Tables are created through the driver with the longest record of doing so, whichever the services use.
    patient = settings.replace(database_timeout=_STATEMENT_SECONDS, cassandra_driver="cassandra-driver")
    reason = ""
    while True:
        try:
            return await connect(patient.cassandra, contact_points, keyspace)
        except Unavailable as error:
            if str(error) != reason:
                reason = str(error)
                _log.info("waiting for Cassandra: %s", reason)
        await asyncio.sleep(random.uniform(*_RETRY_SECONDS))


async def _upgrade(database: Database, settings: Settings) -> None:
    await database.prepare([_KEYSPACES, _COLUMNS, _OPTIONS, _LOCAL_VERSION, _PEER_VERSIONS])
    keyspace = settings.cassandra.keyspace
    rows = sorted(await database.select(_COLUMNS, keyspace))
    present = {name: list(columns) for name, columns in groupby(rows, key=lambda row: row.table)}
    options = {row.table: row for row in await database.select(_OPTIONS, keyspace)}
    # Everything is planned before anything is done: a database that cannot be upgraded is left as it was.
    changes = [
        change
        for table in read_tables(CQL_FILE.read_text(encoding="utf-8"))
        for change in (
            [*table.additions(keyspace, present[table.name]), *table.alterations(keyspace, options[table.name])]
            if table.name in present
            else [table.creation(keyspace)]
        )
    ]
    await _create_keyspace(database, keyspace, settings)
    for change in changes:
        _log.info("%s", change if change.startswith("ALTER") else change.partition(" (")[0])
        await _change(database, change)
    await _wait_for_agreement(database)  # also where another step, killed since, made the last change
    await _create_keyspace(database, INIT_DONE, settings)
    _log.info("the schema of %s is complete, %d changes were made", keyspace, len(changes))


async def _create_keyspace(database: Database, name: str, settings: Settings) -> None:
    if not any(row.name == name for row in await database.select(_KEYSPACES)):
        await _change(
            database, f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {settings.cassandra.replication}"
        )


async def _change(database: Database, cql: str) -> None:
    """One change of the schema, seen by all nodes when it returns."""
    change = Write(cql)
    await database.prepare([change])
    await database.write(change)
    await _wait_for_agreement(database)


async def _wait_for_agreement(database: Database) -> None:
    """Wait until all nodes have the same schema. A node that is down cannot agree: after a while the step continues without it."""
    versions: set[object] = set()
    try:
        async with asyncio.timeout(_AGREEMENT_SECONDS):
            while True:
                rows = await database.select(_LOCAL_VERSION) + await database.select(_PEER_VERSIONS)
                versions = {row.version for row in rows if row.version}
                if len(versions) == 1:
                    return
                await asyncio.sleep(_AGREEMENT_POLL_SECONDS)
    except TimeoutError:
        _log.warning("the nodes of Cassandra hold %d versions of the schema; is one of them down?", len(versions))
