"""Finding Cassandra and connecting to it, for as long as that takes."""

import asyncio
import logging
import random
from collections.abc import Iterable
from contextlib import aclosing

from common.catalogue import CASSANDRA, PORTS
from common.database.availability import explained
from common.database.interface import Database, DatabaseError, Statement
from common.errors import Unavailable
from common.settings import CassandraSettings
from grpc_discovery import Registry, RegistryUnavailable
from grpc_discovery.addresses import Address, parse_addresses

_RETRY_SECONDS = (0.3, 1.0)

_log = logging.getLogger(__name__)


async def connect(settings: CassandraSettings, contact_points: list[Address], keyspace: str | None) -> Database:
    """A session with the database at `contact_points`. Raises Unavailable when none of them answers."""
    # Imported only when chosen: a driver takes up to 20 MB and some tenths of a second, and no process needs both.
    if settings.driver in ("acsylla", "auto"):
        from common.database.acsylla_driver import AcsyllaDriver

        return await AcsyllaDriver.connect(settings, contact_points, keyspace)
    from common.database.cassandra_driver import CassandraDriver

    return await CassandraDriver.connect(settings, contact_points, keyspace)


async def wait_for_database(
    settings: CassandraSettings, registry: Registry, statements: Iterable[Statement]
) -> Database:
    """A session with all `statements` prepared. Waits without end until Cassandra is found, answers, and holds the finished schema.

    The contact points come from the setting, or from the key `cassandra` in the registry. One line is logged when the wait begins or its
    reason changes, and one when it is over.
    """
    statements = list(statements)
    reason, points = "", settings.contact_points
    while True:
        try:
            points = settings.contact_points or await _advertised_contact_points(registry)
            return await _session(settings, points, statements)
        except (Unavailable, RegistryUnavailable, DatabaseError) as error:
            if (latest := explained(error, points)) != reason:
                reason = latest
                _log.info("waiting for Cassandra: %s", reason)
        await asyncio.sleep(random.uniform(*_RETRY_SECONDS))


def warn_of_open_password(settings: CassandraSettings, points: list[Address]) -> None:
    """Log it if the password for Cassandra leaves this machine without TLS: whoever can read the network, or write the registry, gets it."""
    if settings.user and not settings.enable_ssl and not all(point.is_loopback for point in points):
        where = "" if settings.contact_points else ", to whatever address the registry names"
        _log.warning("the password for Cassandra goes over the network without TLS%s", where)


async def _session(settings: CassandraSettings, points: list[Address], statements: list[Statement]) -> Database:
    database = await connect(settings, points, settings.keyspace)
    try:
        await database.prepare(statements)
    except BaseException:
        await database.close()
        raise
    _log.info("connected to Cassandra at %s", ", ".join(map(str, points)))
    warn_of_open_password(settings, points)
    return database


async def _advertised_contact_points(registry: Registry) -> list[Address]:
    async with aclosing(registry.watch(CASSANDRA)) as lists:
        first = True
        async for instances in lists:
            if instances:
                try:
                    return parse_addresses(",".join(instances.values()), PORTS[CASSANDRA])
                except ValueError as error:  # another program wrote it, and may correct it
                    raise Unavailable(f"what is advertised {error}") from error
            if first:
                _log.info("waiting for Cassandra to be advertised")
                first = False
    raise RegistryUnavailable("the watch for Cassandra ended")
