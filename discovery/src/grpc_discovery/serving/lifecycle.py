"""The life of a process: settings, registry, database, server, serving, advertised; until stopped; and back in reverse.

`run` is all that a service's __main__ calls. Read `live`: the order of its lines is the order of what happens.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from common import logs
from common.database import Database, Statement, wait_for_database
from common.registry import open_registry
from common.registry.advertiser import Advertiser
from common.server import PortTaken, bind, new_server
from common.settings import Settings
from common.shield import finish_shielded

SHARED_PORT = 8899
"""The port of a process that hosts several services, as in the article."""

LIVENESS = "liveness"
"""A health name that serves whenever the process answers, for an orchestrator: to restart the process would not bring Cassandra back."""

_PROBE_SECONDS = 0.5

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Service:
    """One of the seven services: its names, its port, its statements, and how to build and register its servicer."""

    name: str
    """The last part of the proto service name, the key in the registry."""
    slug: str
    """The name of its package, and of its program under supervisord."""
    full_name: str
    """The proto service name, under which its health is asked for."""
    port: int
    statements: tuple[Statement, ...]
    build: Callable[[Database, Settings], Any]
    register: Callable[[Any, aio.Server], None]


def run(*services: Service) -> None:
    """Run `services` in this process until SIGTERM or SIGINT, then exit 0; exit 1 when their port is taken, 2 for a wrong setting."""
    settings = Settings.load()
    logs.configure(settings.logging_level, settings.logging_format)
    try:
        uvloop.run(_until_stopped(services, settings))
    except PortTaken as error:
        _log.error("%s", error)
        sys.exit(1)


async def _until_stopped(services: Sequence[Service], settings: Settings) -> None:
    """Run `live`; the first signal asks it to stop, further ones change nothing."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await live(services, settings, stop)
    _log.info("stopped")


async def live(services: Sequence[Service], settings: Settings, stop: asyncio.Event) -> None:
    """One life of a process that hosts `services`, until `stop` is set; a stop while it still waits ends the wait."""
    port = settings.listen_port or (services[0].port if len(services) == 1 else SHARED_PORT)
    _refuse_taken_port(settings.listen_host, port)
    async with AsyncExitStack() as life:
        registry = await _unless(stop, open_registry(settings))
        if registry is None:
            return
        life.push_async_callback(registry.close)

        statements = [statement for service in services for statement in service.statements]
        database = await _unless(stop, wait_for_database(settings, registry, statements))
        if database is None:
            return
        life.push_async_callback(_close_session, database)

        status = await life.enter_async_context(_serving(services, settings, database, port))
        place = advertised_address(settings, port)
        advertisers = [
            Advertiser(registry, service.name, settings.instance or place, place, settings.ttl) for service in services
        ]
        await life.enter_async_context(_advertised(advertisers, status, settings))
        # All that was made so far stays to the end. A full collection would walk through it, 30 ms in the middle of calls.
        gc.collect()
        gc.freeze()
        async with _health_follows(database, status, advertisers):
            await stop.wait()
        _log.info("stopping")


@asynccontextmanager
async def _serving(
    services: Sequence[Service], settings: Settings, database: Database, port: int
) -> AsyncIterator["Health"]:
    """A server that takes calls; on leaving, calls under way and shielded writes are finished first."""
    server, interceptor = new_server(settings)
    status = Health([service.full_name for service in services])
    for service in services:
        service.register(service.build(database, settings), server)
    health_pb2_grpc.add_HealthServicer_to_server(status.servicer, server)
    names = [service.full_name for service in services]
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    bind(server, settings, port)
    async with interceptor.line.watched(server):
        await server.start()
        await status.set(True)
        _log.info("serving %s on %s:%d", ", ".join(service.name for service in services), settings.listen_host, port)
        try:
            yield status
        finally:
            _log.info("finishing %d calls under way", interceptor.under_way)
            await server.stop(settings.drain)
            unfinished = await finish_shielded(2)
            _log.info(
                "server stopped" if not unfinished else "server stopped, %d writes unfinished",
                *([unfinished] if unfinished else []),
            )


@asynccontextmanager
async def _advertised(advertisers: Sequence[Advertiser], status: "Health", settings: Settings) -> AsyncIterator[None]:
    """Entries in the registry; on leaving, health goes first, then the entries, then a moment for callers to see it."""
    for advertiser in advertisers:
        advertiser.set_serving(True)
        advertiser.start()
    try:
        yield
    finally:
        await status.set(False)
        _log.info("health is NOT_SERVING")
        await asyncio.gather(*(advertiser.withdraw() for advertiser in advertisers))
        await asyncio.sleep(settings.withdraw_wait)


class _Checks(health.aio.HealthServicer):  # type: ignore[misc,name-defined]  # the stubs leave it out
    """Answers health checks, and tells since when this process serves (or does not)."""

    since = ""

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """The status, and `serving-since` as trailing metadata, for `python -m client list`."""
        context.set_trailing_metadata((("serving-since", self.since),))
        return await super().Check(request, context)


class Health:
    """The health of this process, for each of its services and for '' as a whole: one status for all, since they share the database."""

    def __init__(self, names: Sequence[str]) -> None:
        self.servicer = _Checks()
        self._names = ["", *names]
        self.serving = False

    async def set(self, serving: bool) -> None:
        """Set every name to SERVING or NOT_SERVING."""
        self.serving = serving
        self.servicer.since = datetime.now(UTC).isoformat(timespec="seconds")
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self.servicer.set(name, status)
        await self.servicer.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def _health_follows(database: Database, status: Health, advertisers: Sequence[Advertiser]) -> AsyncIterator[None]:
    """Ask the database twice a second; while it does not answer (twice running), health is NOT_SERVING and nothing is advertised."""

    async def follow() -> None:
        missed = 0
        while True:
            missed = 0 if await database.answers() else missed + 1
            serving = missed == 0 or (missed == 1 and status.serving)
            if serving != status.serving:
                (_log.info if serving else _log.warning)(
                    "Cassandra %s: health is %s", *(("answers", "SERVING") if serving else ("is away", "NOT_SERVING"))
                )
                await status.set(serving)
                for advertiser in advertisers:
                    advertiser.set_serving(serving)
            await asyncio.sleep(_PROBE_SECONDS)

    task = asyncio.create_task(follow(), name="follow the database's health")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _close_session(database: Database) -> None:
    await database.close()
    _log.info("database session closed")


async def _unless(stop: asyncio.Event, work: Awaitable[Result]) -> Result | None:
    """The result of `work`, or None if `stop` is set before it is done."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, stopping):
            each.cancel()
        await asyncio.wait([task, stopping])


def advertised_address(settings: Settings, port: int) -> str:
    """The `host:port` to advertise: the setting; in a container its own address; otherwise the address that is listened on."""
    host = settings.service_host or settings.host_ip or settings.docker_ip
    if not host:
        everywhere = settings.listen_host in ("0.0.0.0", "::")
        host = settings.listen_host if not everywhere else _own_address() if _in_container() else "127.0.0.1"
    address = f"{host}:{settings.service_port or port}"
    if host == "0.0.0.0" or (host == "127.0.0.1" and settings.listen_host == "0.0.0.0"):
        _log.warning(
            "the advertised address %s cannot be reached from elsewhere; KILLRVIDEO_SERVICE_HOST sets another", address
        )
    return address


def _in_container() -> bool:
    return (
        Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or "KUBERNETES_SERVICE_HOST" in os.environ
    )


def _own_address() -> str:
    """The IPv4 address that this container's name stands for."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _refuse_taken_port(host: str, port: int) -> None:
    """Raise PortTaken now rather than after the wait for Cassandra; binding for good comes later."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} on {host} cannot be bound ({error.strerror}); KILLRVIDEO_LISTEN_PORT chooses another"
            ) from error
