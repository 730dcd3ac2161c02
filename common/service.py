"""The life of a process that hosts services of KillrVideo, which is the same for all of them:

    settings, wait for etcd, wait for Cassandra, session with all statements prepared, build the servicers, listen, serve, register in etcd
    until SIGTERM: not serving, withdraw from etcd, finish the calls under way, close the session and the registry, exit 0

`run` is all that a service's __main__ calls. What is KillrVideo's own stands here: the session that every service waits for. The steps
themselves are those of any service, in the library: grpc_discovery/serving/life.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from common.catalogue import SHARED_PORT, TRACE_KEY, KnownService
from common.cautions import follow_the_clock, warn_of_surroundings
from common.database import Database, Statement, wait_for_database
from common.database.observed import observed
from common.settings import Settings
from grpc_discovery import Application, Registry
from grpc_discovery.tasks import cancel_and_wait, keep_running

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """A service as a process hosts it: its line of the catalogue, its statements, and how its servicer is built from a session."""

    known: KnownService
    statements: tuple[Statement, ...]
    build: Callable[[Database, Settings], Any]
    background: Callable[[Any], Awaitable[object]] | None = None
    """What runs beside the calls, over and over, from when the service is advertised until the process stops; it gets the servicer."""


class CassandraSession:
    """A session with all statements of a process prepared, as something that an Application waits for and follows."""

    name = "Cassandra"

    def __init__(self, settings: Settings, statements: Sequence[Statement], registry: Callable[[], Registry]) -> None:
        self._settings, self._statements, self._registry = settings, statements, registry
        self._database: Database | None = None
        self._following_the_clock: asyncio.Task[None] | None = None

    @property
    def database(self) -> Database:
        """The session. Raises RuntimeError before it is ready."""
        if self._database is None:
            raise RuntimeError("there is no session with Cassandra yet")
        return self._database

    async def ready(self) -> None:
        """Find Cassandra, connect and prepare all statements; waits without end."""
        database = await wait_for_database(self._settings.cassandra, self._registry(), self._statements)
        self._database = observed(database, self._settings)
        await warn_of_surroundings(self._database, self._settings)
        if self._settings.telemetry.is_measured:
            follow = partial(follow_the_clock, self._database)
            self._following_the_clock = asyncio.create_task(keep_running("follow the clock", follow))

    async def alive(self) -> bool:
        """Whether Cassandra answers just now."""
        return await self.database.answers()

    async def close(self) -> None:
        """Close the session, where there is one."""
        await cancel_and_wait([self._following_the_clock])
        if self._database:
            await self._database.close()
            _log.info("database session closed")


def run(*services: Service) -> None:
    """Run `services` in this process until SIGTERM or SIGINT, then exit 0; exit 1 when their port is taken, 2 for a wrong setting."""
    settings = Settings.load()
    application = compose(services, settings)
    application.run()


def compose(services: Sequence[Service], settings: Settings) -> Application:
    """The application of a process that hosts `services`, ready to run."""
    default_port = services[0].known.port if len(services) == 1 else SHARED_PORT
    application = Application("killrvideo", settings, default_port=default_port, trace_key=TRACE_KEY)
    statements = [statement for service in services for statement in service.statements]
    cassandra = CassandraSession(settings, statements, lambda: application.registry)
    for service in services:
        known = service.known
        # Looked up by name, so that a process loads the generated code of the services it hosts and of no other.
        register = getattr(import_module(known.grpc_module), known.register)
        build = partial(_build, service, cassandra, settings)
        application.add(build, register, known.full_name, waits_for=[cassandra], background=service.background)
    return application


def _build(service: Service, cassandra: CassandraSession, settings: Settings) -> Any:
    return service.build(cassandra.database, settings)
