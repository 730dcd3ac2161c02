"""Statements of our repositories, prepared and run with cassandra-driver, and times as messages."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import BatchStatement, tuple_factory
from google.protobuf.timestamp_pb2 import Timestamp

from common.database import Statement
from services.comments import repository as comments
from services.ratings import repository as ratings
from services.statistics import repository as statistics
from services.user_management import repository as users
from services.video_catalog import repository as videos
from services.video_catalog.index_plan import Step

_EPOCH = datetime(1970, 1, 1)
_GREGORIAN_MS = 12_219_292_800_000


class Session:
    """Prepared statements; each answer wakes the event loop."""

    def __init__(self, host: str, port: int, keyspace: str) -> None:
        profile = ExecutionProfile(
            TokenAwarePolicy(DCAwareRoundRobinPolicy()),
            consistency_level=ConsistencyLevel.LOCAL_QUORUM,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
            row_factory=tuple_factory,
        )
        cluster = Cluster([host], port=port, execution_profiles={EXEC_PROFILE_DEFAULT: profile}, protocol_version=4)
        self._session = cluster.connect(keyspace)
        self._loop = asyncio.get_running_loop()
        modules = (comments, ratings, statistics, users, videos)
        self._prepared = {
            statement: self._session.prepare(statement.cql) for module in modules for statement in module.STATEMENTS
        }

    async def run(self, statement: Statement, *values: Any) -> list[Any]:
        """Run one statement."""
        return await self._answer(self._prepared[statement].bind(values))

    async def batch(self, steps: list[Step]) -> list[Any]:
        """Run several as one logged batch."""
        batch = BatchStatement()
        for statement, values in steps:
            batch.add(self._prepared[statement], values)
        return await self._answer(batch)

    async def _answer(self, bound: Any) -> list[Any]:
        future = self._loop.create_future()
        self._session.execute_async(bound).add_callbacks(
            lambda rows: self._loop.call_soon_threadsafe(future.set_result, rows or []),
            lambda error: self._loop.call_soon_threadsafe(future.set_exception, error),
        )
        rows: list[Any] = await future
        return rows


def timestamp_message(timestamp: datetime) -> Timestamp:
    """A datetime in UTC, without a time zone, as a message."""
    since = timestamp - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def time_of(time_uuid: UUID) -> Timestamp:
    """The time of a version-1 UUID, to the millisecond."""
    seconds, milliseconds = divmod(time_uuid.time // 10_000 - _GREGORIAN_MS, 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


def now() -> datetime:
    """The time in UTC, without a time zone, as the driver takes it."""
    return datetime.now(UTC).replace(tzinfo=None)
