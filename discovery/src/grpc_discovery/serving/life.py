"""One life of a process that serves. Read `run`: the order of its lines is the order of what happens, and they end in reverse.

The registry is opened, dependencies are waited for, servicers made, the server is bound, health is SERVING, the services are advertised;
health and entries follow the dependencies; stop; health is NOT_SERVING, the entries are withdrawn, callers have a moment to see it, calls
under way and shielded work are finished, dependencies and the registry are closed.
"""

import asyncio
import gc
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from grpc_discovery.addresses import Address
from grpc_discovery.registration import Registration
from grpc_discovery.registry.interface import Registry
from grpc_discovery.serving.deadlines import finish_shielded
from grpc_discovery.serving.dependencies import Follower
from grpc_discovery.serving.handlers import check_servicer
from grpc_discovery.serving.health import ProcessHealth, add_reflection
from grpc_discovery.serving.loop_monitor import LoopMonitor
from grpc_discovery.serving.server import advertised_address, bind, new_server
from grpc_discovery.settings import Settings
from grpc_discovery.tasks import cancel_and_wait, keep_running
from grpc_discovery.telemetry.switch import metrics_sender, served, server_calls

_FINISH_SHIELDED_SECONDS = 2.0

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class TaskEnded(Exception):
    """A task has ended that must not (promise 22). Its text names it."""


@dataclass(frozen=True)
class AddedService:
    """A service of an application."""

    full_name: str
    servicer: Any
    """The servicer, or what makes it, called without arguments."""
    add_to_server: Callable[[Any, Any], None]
    """The generated function that registers it with a server."""
    needs: Sequence[Follower]
    background: Callable[[Any], Awaitable[object]] | None = None
    """What runs beside the calls, over and over; it gets the servicer."""

    @property
    def can_serve(self) -> bool:
        """Whether all that it needs is there."""
        return all(follower.is_alive for follower in self.needs)

    async def make(self) -> Any:
        """The servicer, made now if it was not given itself. Raises TypeError if it cannot be served."""
        if not callable(self.servicer):
            return self.servicer
        made = self.servicer()
        made = await made if inspect.isawaitable(made) else made
        check_servicer(made, self.add_to_server, self.full_name)
        return made


class ProcessNames(NamedTuple):
    """By which names a process tells of itself."""

    name: str
    domain: str
    """The one of google.rpc.ErrorInfo in answers."""
    trace_key: str
    """The metadata by which callers ask what their call did."""


class Life:
    """What one life of a process needs to know, and its parts that are told of changes."""

    def __init__(self, settings: Settings, port: int, names: ProcessNames, services: Sequence[AddedService]) -> None:
        self._settings, self._port, self._process, self._services = settings, port, names, services
        self._names = [settings.registry.name_of(service.full_name) for service in services]
        # Each dependency once, also where services share it.
        self._followers = list(dict.fromkeys(each for service in services for each in service.needs))
        self._address = str(advertised_address(settings, port))
        self._instance = settings.advertise.instance or self._address
        # As whom it tells a collector of itself.
        self._service = self._names[0] if len(self._names) == 1 else names.name
        self._health = ProcessHealth(service.full_name for service in services)
        self._registrations: list[Registration] = []
        self._task_ended = asyncio.Event()
        self._end = ""
        self._endpoint: Any = None
        self.loop_monitor: LoopMonitor | None = None
        """How long the event loop was held; None before the server takes calls."""

    async def run(
        self, open_the_registry: Callable[[AsyncExitStack], Awaitable[Registry]], stop: asyncio.Event, *, freeze: bool
    ) -> None:
        """Live until `stop` is set, also while it still waits. Raises PortTaken, and TaskEnded after an orderly stop.

        `freeze`: take what was made until it serves out of the garbage collector's hands.
        """
        async with AsyncExitStack() as life:
            await self._show(life)
            registry = await unless(stop, open_the_registry(life))
            if registry is None:
                return
            for follower in self._followers:
                life.push_async_callback(follower.close)
            servicers = await unless(stop, self._wait_and_make())
            if servicers is None:
                return
            await life.enter_async_context(self._serving(servicers))
            await life.enter_async_context(self._advertised(registry))
            if freeze:
                # All that was made so far stays to the end. A full collection would walk through it, 30 ms in the middle of calls.
                gc.collect()
                gc.freeze()
            for follower in self._followers:
                self._keep_running(life, f"follow {follower.name}", partial(follower.follow, self._tell_of))
            for service, servicer in zip(self._services, servicers, strict=True):
                if service.background:
                    name = f"background work of {service.full_name}"
                    self._keep_running(life, name, partial(service.background, servicer))
            await unless(stop, self._task_ended.wait())
            _log.info("stopping")
        if self._end:
            raise TaskEnded(self._end)

    async def _show(self, life: AsyncExitStack) -> None:
        """Metrics over HTTP and to a collector, also while the process still waits, until it has stopped."""
        self._endpoint = await life.enter_async_context(served(self._settings, self._port))
        if self._endpoint:
            self._keep_running(life, "look at the counters", self._endpoint.watch)
        if send := metrics_sender(self._settings, self._service, self._instance):
            self._keep_running(life, "send the metrics", send)

    async def _wait_and_make(self) -> list[Any]:
        """The servicers, made when all dependencies are ready."""
        async with asyncio.TaskGroup() as waiting:
            for follower in self._followers:
                waiting.create_task(follower.wait_ready())
        return [await service.make() for service in self._services]

    @asynccontextmanager
    async def _serving(self, servicers: Sequence[Any]) -> AsyncIterator[None]:
        """A server that takes calls; on leaving, calls under way and shielded work are finished first."""
        observed = server_calls(self._settings, self._service, self._instance, self._process.trace_key)
        server, interceptor = new_server(self._settings, self._process.domain, observed)
        for service, servicer in zip(self._services, servicers, strict=True):
            service.add_to_server(servicer, server)
        await self._health.add_to(server)
        if self._settings.serving.reflection:
            add_reflection([service.full_name for service in self._services], server)
        bind(server, self._settings, self._port)
        queue, self.loop_monitor = interceptor.queue, interceptor.loop_monitor
        with queue.socket(server, only_probe=self._settings.listen.tls.given) as probe, self.loop_monitor:
            await server.start()
            for service in self._services:
                await self._health.set(service.full_name, service.can_serve)
            _log.info("serving %s on %s", ", ".join(self._names), Address(self._settings.listen.host, self._port))
            if self._endpoint:
                _log.info("metrics on %s", self._endpoint.url)
            try:
                async with AsyncExitStack() as watched:
                    if probe:
                        self._keep_running(watched, "watch the admission queue", partial(queue.watch, probe))
                    yield
            finally:
                _log.info("finishing %d calls under way", interceptor.under_way)
                drain, loop = self._settings.serving.drain, asyncio.get_running_loop()
                until = loop.time() + drain
                await server.stop(drain)
                # It may outlive its call, and uses what those that were under way before the dependencies are closed.
                if unfinished := await finish_shielded(max(until - loop.time(), _FINISH_SHIELDED_SECONDS)):
                    _log.warning("server stopped, %d pieces of shielded work unfinished", unfinished)
                else:
                    _log.info("server stopped")

    @asynccontextmanager
    async def _advertised(self, registry: Registry) -> AsyncIterator[None]:
        """Entries in the registry; on leaving, health goes first, then the entries, then a moment for callers to see it."""
        advertise, address = self._settings.advertise, self._address
        self._registrations = [
            Registration(registry, name, self._instance, address, advertise.ttl) for name in self._names
        ]
        try:
            with ExitStack() as needed:
                for service, registration in zip(self._services, self._registrations, strict=True):
                    registration.set_serving(service.can_serve)
                    self._must_not_end(needed, registration.start())
                yield
        finally:
            await self._health.set_all(False)
            _log.info("health is NOT_SERVING")
            await asyncio.gather(*(registration.withdraw() for registration in self._registrations))
            await asyncio.sleep(advertise.withdraw_wait)

    def _keep_running(self, until: AsyncExitStack, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work`, over and over, in a task of its own until the block is left."""
        task = asyncio.create_task(keep_running(name, work), name=name)
        until.push_async_callback(cancel_and_wait, [task])
        self._must_not_end(until, task)

    def _must_not_end(self, until: ExitStack | AsyncExitStack, task: asyncio.Task[None]) -> None:
        """If the task ends by itself before the block is left, the process says so and stops."""
        task.add_done_callback(self._stop_for)
        until.callback(task.remove_done_callback, self._stop_for)

    def _stop_for(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self._end = f"the task '{task.get_name()}' has ended, without which this process does not do what it should"
        _log.error("%s: stopping", self._end, exc_info=error)
        self._task_ended.set()

    async def _tell_of(self, follower: Follower) -> None:
        """A dependency went away, or is back: tell health, registrations and log, as far as it makes a difference."""
        changed = []
        for service, registration in zip(self._services, self._registrations, strict=True):
            if service.can_serve != self._health.is_serving(service.full_name):
                changed.append(service.full_name)
                await self._health.set(service.full_name, service.can_serve)
                registration.set_serving(service.can_serve)
        of = "" if len(changed) == len(self._services) else f" of {', '.join(changed)}"
        if follower.is_alive:
            _log.info("%s answers%s", follower.name, f": health{of} is SERVING" if changed else "")
        else:
            _log.warning("%s is away%s", follower.name, f": health{of} is NOT_SERVING" if changed else "")


async def unless(stop: asyncio.Event, work: Awaitable[Result]) -> Result | None:
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
