"""What a service warns of when it starts: surroundings in which something acknowledged can be lost, or anybody can make paging tokens.

Each is looked at when the session with Cassandra is ready, and the clock every minute from then on, for the metrics. docs/operations.md says what
to do about each.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple

from common.database import CLOCK, Database, DatabaseError, Select
from common.metrics import CLOCK_OFFSET
from common.settings import Settings
from common.timestamps import now
from grpc_discovery import ServiceError
from grpc_discovery.addresses import is_loopback

MAX_CLOCK_DIFFERENCE_SECONDS = 0.5
CLOCK_EVERY_SECONDS = 60.0


class SettingRow(NamedTuple):
    """A setting of the node that answers."""

    value: str


COMMIT_LOG = Select("SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'", SettingRow)

_log = logging.getLogger(__name__)


async def warn_of_surroundings(database: Database, settings: Settings) -> None:
    """Log a warning for each caution that applies. Nothing is raised: a check that cannot be made is logged at debug."""
    if warning := of_the_paging_key(settings):
        _log.warning(warning)
    for check in (of_the_commit_log, of_the_clock):
        if warning := await _made(check, database):
            _log.warning(warning)


async def follow_the_clock(database: Database) -> None:
    """Measure the clock every minute, without end, for the metrics alone. Nothing is raised."""
    while True:
        await asyncio.sleep(CLOCK_EVERY_SECONDS)
        await _made(of_the_clock, database)


async def _made(check: Callable[[Database], Awaitable[str | None]], database: Database) -> str | None:
    """The warning of a check, if there is one."""
    try:
        return await check(database)
    except (DatabaseError, ServiceError) as error:  # an older Cassandra, or a role that may not read this
        _log.debug("not checked (%s): %s", check.__name__, error)
        return None


def of_the_paging_key(settings: Settings) -> str | None:
    """A warning when others than this machine can reach a service whose paging tokens have the public key."""
    public_key = Settings.model_fields["paging_key"].default
    if settings.paging_key != public_key or is_loopback(settings.listen.host):
        return None
    return (
        f"KILLRVIDEO_PAGING_KEY is its public default, and {settings.listen.host} is not loopback: anybody can make paging tokens. "
        "Set one secret key for all instances"
    )


async def of_the_commit_log(database: Database) -> str | None:
    """A warning when Cassandra acknowledges what is not yet on disk. Raises what `select_one` raises."""
    await database.prepare([COMMIT_LOG])
    row = await database.select_one(COMMIT_LOG)
    if row is None or row.value != "periodic":
        return None
    return (
        "Cassandra acknowledges writes before they are on disk (commitlog_sync: periodic): a node that is killed loses the latest. "
        "Set commitlog_sync to group or batch in cassandra.yaml"
    )


async def of_the_clock(database: Database) -> str | None:
    """A warning when Cassandra's clock differs from this machine's by more than 0.5 s. The difference goes to the metrics.

    Raises what `select_one` raises.
    """
    await database.prepare([CLOCK])
    asked, began = now(), time.monotonic()
    row = await database.select_one(CLOCK)
    if row is None:
        return None
    half_the_way = timedelta(seconds=(time.monotonic() - began) / 2)
    difference = (row.timestamp - (asked + half_the_way)).total_seconds()
    CLOCK_OFFSET.set(difference)
    # What the way back may have taken longer than the way there is no difference of the clocks.
    if abs(difference) <= MAX_CLOCK_DIFFERENCE_SECONDS + half_the_way.total_seconds():
        return None
    return (
        f"Cassandra's clock is {abs(difference):.1f} s {'ahead of' if difference > 0 else 'behind'} this machine's. "
        "Keep all clocks synchronised (NTP)"
    )
