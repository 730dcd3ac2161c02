"""The schema step: `python -m schema` creates or upgrades the tables, then advertises Cassandra in the registry.

python -m schema            waits for Cassandra and for the registry, does its work, and exits
python -m schema --stay     stays: keeps Cassandra advertised while it answers, until SIGTERM or SIGINT
python -m schema rebuild    rewrites the tables that follow from others, for data that other tools loaded
"""

import argparse
import asyncio
import logging
import random
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from common.catalogue import CASSANDRA
from common.database import Database, DatabaseError
from common.settings import Settings
from grpc_discovery import Registration, Registry, RegistryUnavailable, logs, open_registry
from grpc_discovery.addresses import Address
from schema.tables import SchemaMismatch
from schema.upgrade import apply, wait_for_cassandra

# Nobody renews this entry, so it must outlive the deployment: ten years. See docs/decisions/0101.
LASTING_SECONDS = 10 * 365 * 86_400.0

_PROBE_SECONDS = 0.5
_RETRY_SECONDS = (0.5, 2.0)

_log = logging.getLogger("schema")


def main() -> None:
    """Read the command line and do the task. Exit code 0: done, or stopped while staying; 1: it cannot be done; 130: stopped before it was done."""
    parser = argparse.ArgumentParser(
        prog="python -m schema",
        description="Creates or upgrades KillrVideo's tables in Cassandra and advertises Cassandra in the registry.",
    )
    parser.add_argument(
        "task",
        nargs="?",
        choices=["rebuild"],
        help="rebuild: rewrite lists, tags, words and totals from the videos and the ratings; services may run",
    )
    parser.add_argument(
        "--stay", action="store_true", help="keep Cassandra advertised while it answers, until SIGTERM or SIGINT"
    )
    arguments = parser.parse_args()
    settings = Settings.load()
    logs.configure(settings.logs.level, settings.logs.format)
    try:
        if arguments.task == "rebuild":
            from schema.rebuild import rebuild  # with the services' repositories, which the step itself does not need

            finished = asyncio.run(_until_stopped(rebuild(settings, _contact_points(settings))))
        else:
            finished = asyncio.run(_until_stopped(_step(settings, arguments.stay)))
    except (SchemaMismatch, DatabaseError) as error:
        _log.error("the schema step failed: %s", error)
        sys.exit(1)
    sys.exit(0 if finished or arguments.stay else 130)


async def _until_stopped(step: Coroutine[Any, Any, None]) -> bool:
    """Run `step` to its end, or cancel it at SIGTERM or SIGINT. Returns whether it was completed."""
    task = asyncio.create_task(step)

    def stop() -> None:
        if not task.cancelling():  # a second signal does not interrupt the cleaning up
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        _log.info("stopped")
        return False
    return True


async def _step(settings: Settings, stay: bool) -> None:
    """Upgrade the schema and advertise Cassandra; with `stay`, until cancelled."""
    contact_points = _contact_points(settings)
    await apply(settings, contact_points)
    address = settings.cassandra.advertised or str(contact_points[0])
    async with AsyncExitStack() as life:
        registry = await open_registry(settings.registry)
        life.push_async_callback(registry.close)
        if stay:
            database = await wait_for_cassandra(settings, contact_points)
            life.push_async_callback(database.close)
            await _keep_advertised(
                database, Registration(registry, CASSANDRA, address, address, settings.advertise.ttl)
            )
        else:
            await _advertise(registry, address)


async def _advertise(registry: Registry, address: str) -> None:
    """Write an entry that lasts, waiting for the registry without a limit."""
    waiting = False
    while True:
        try:
            await registry.advertise(CASSANDRA, address, address, LASTING_SECONDS)
            _log.info("advertised Cassandra at %s", address)
            return
        except RegistryUnavailable as error:
            if not waiting:
                _log.info("waiting for the registry: %s", error)
            waiting = True
        await asyncio.sleep(random.uniform(*_RETRY_SECONDS))


async def _keep_advertised(database: Database, registration: Registration) -> None:
    """Keep the entry alive while Cassandra answers, until cancelled; then withdraw it."""
    registration.start()
    try:
        missed = 0
        while True:
            # One missing answer is no reason to withdraw; two in a row are.
            missed = 0 if await database.answers() else missed + 1
            if missed != 1:
                registration.set_serving(missed == 0)
            await asyncio.sleep(_PROBE_SECONDS)
    finally:
        await registration.withdraw()


def _contact_points(settings: Settings) -> list[Address]:
    """Where Cassandra is. The registry is not asked: this step is what advertises Cassandra in it."""
    return settings.cassandra.contact_points or [Address(settings.docker_ip or "127.0.0.1", settings.cassandra.port)]


if __name__ == "__main__":
    main()
