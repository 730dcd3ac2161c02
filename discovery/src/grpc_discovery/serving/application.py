"""A process that serves: it waits for what its services need, serves, is advertised, follows what they need, and stops in order.

    app = Application("greeter")
    app.add(Greeter(), add_GreeterServicer_to_server, "acme.greeter.v1.Greeter", waits_for=[database])
    app.run()

What happens in which order stands in life.py.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any

from grpc_discovery import logs
from grpc_discovery.addresses import check_service_name
from grpc_discovery.environment import SettingsError
from grpc_discovery.registry.factory import open_registry
from grpc_discovery.registry.interface import Registry
from grpc_discovery.serving.dependencies import Dependency, Follower
from grpc_discovery.serving.handlers import check_servicer
from grpc_discovery.serving.life import AddedService, Life, ProcessNames, TaskEnded
from grpc_discovery.serving.loop_monitor import LoopMonitor
from grpc_discovery.serving.server import PortTaken, refuse_taken_port
from grpc_discovery.settings import Settings
from grpc_discovery.telemetry.calls import TRACE_KEY

_log = logging.getLogger(__name__)
AddToServer = Callable[[Any, Any], None]
"""The generated function that registers a servicer with a server."""


class Application:
    """One process with its services."""

    def __init__(
        self,
        name: str,
        settings: Settings | None = None,
        *,
        domain: str | None = None,
        registry: Registry | None = None,
        default_port: int | None = None,
        trace_key: str = TRACE_KEY,
        quiet: Iterable[str] = (),
    ) -> None:
        """Configures nothing and opens nothing yet.

        `settings`: None reads them from the variables that begin with the name, as GREETER_ for `greeter`, when they are first needed.
        `domain`: the one of google.rpc.ErrorInfo in answers; the name if None. `registry`: one that is open, and that the caller closes; None
        opens the one of the settings. `default_port`: where the settings name none. `trace_key`: the metadata with which callers ask what
        their call did, and are told. `quiet`: loggers heard only at the level debug.
        """
        self.name = name
        self._given_settings, self._given_registry, self._registry = settings, registry, registry
        self._names = ProcessNames(name, domain or name, trace_key)
        self._default_port, self._quiet = default_port, tuple(quiet)
        self._services: list[AddedService] = []
        self._followers: dict[int, Follower] = {}
        self._is_program = False
        self._life: Life | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError when they are read from the environment and wrong."""
        prefix = f"{self.name.upper().replace('-', '_')}_"
        return self._given_settings or Settings.from_environment(prefix)

    @property
    def registry(self) -> Registry:
        """The registry, open from before the dependencies are waited for until the end. Raises RuntimeError at other times."""
        if self._registry is None:
            raise RuntimeError("the registry is open only while the application runs")
        return self._registry

    @property
    def loop_monitor(self) -> LoopMonitor:
        """How long single steps held the event loop, in the present life or the last one. Raises RuntimeError before the first has served."""
        if self._life is None or self._life.loop_monitor is None:
            raise RuntimeError("the event loop is watched only while the application serves")
        return self._life.loop_monitor

    def add(
        self,
        servicer: Any,
        add_to_server: AddToServer,
        service_name: str,
        *,
        waits_for: Iterable[Dependency] = (),
        background: Callable[[Any], Awaitable[object]] | None = None,
    ) -> None:
        """Serve a service under its full proto name. It is advertised, and its health is SERVING, while all that it `waits_for` is there.

        `servicer`: an object, or a callable without arguments (plain or async) that makes it once that is ready. `background`: an async
        function that gets the servicer; it runs from when the service is advertised until the process begins to stop, which cancels it. When
        it returns or fails, it is begun again. Raises TypeError where a handler is a plain function, ValueError for a name that
        `add_to_server` does not register or that was added before.
        """
        check_service_name(service_name)
        if any(service.full_name == service_name for service in self._services):
            raise ValueError(f"{service_name} was added before")
        if not callable(servicer):
            check_servicer(servicer, add_to_server, service_name)
        # Services that share a dependency share its follower.
        needs = [self._followers.setdefault(id(dependency), Follower(dependency)) for dependency in waits_for]
        self._services.append(AddedService(service_name, servicer, add_to_server, needs, background))

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then return. Configures logging and takes uvloop where it is installed.

        Exits with 1 when the port is taken or a task has ended that must not, and with 2 for a wrong setting or a missing extra.
        """
        self._is_program = True
        try:
            logs.configure(self.settings.logs.level, self.settings.logs.format, self._quiet)
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._until_signal())
        except SettingsError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        except (PortTaken, TaskEnded) as error:
            _log.error("%s", error)
            sys.exit(1)

    async def _until_signal(self) -> None:
        """The first signal asks for a stop; further ones change nothing, also in the last moments of the process."""
        stop, signals = asyncio.Event(), (signal.SIGTERM, signal.SIGINT)
        loop = asyncio.get_running_loop()
        for signum in signals:
            loop.add_signal_handler(signum, stop.set)
        try:
            await self.serve(stop)
        finally:
            for signum in signals if stop.is_set() else ():
                loop.remove_signal_handler(signum)
                signal.signal(signum, signal.SIG_IGN)
        _log.info("stopped")

    async def serve(self, stop: asyncio.Event) -> None:
        """One life of the application, until `stop` is set; a stop while it still waits ends the wait.

        Signals and logging are left to the caller. Raises PortTaken, TaskEnded after an orderly stop, and SettingsError.
        """
        port = self.settings.listen.port or self._default_port
        if port is None:
            raise SettingsError(f"{self.settings.variable('LISTEN_PORT')} is not set, and the program names no port")
        refuse_taken_port(self.settings, port)
        self._life = Life(self.settings, port, self._names, self._services)
        try:
            await self._life.run(self._open_registry, stop, freeze=self._is_program)
        finally:
            self._registry = self._given_registry

    async def _open_registry(self, life: AsyncExitStack) -> Registry:
        """The registry that was given, or the one of the settings, which is closed when `life` ends."""
        if self._registry is None:
            try:
                self._registry = await open_registry(self.settings.registry)
            except ModuleNotFoundError as error:
                raise SettingsError(str(error)) from error
            life.push_async_callback(_close, self._registry)
        return self._registry


async def _close(registry: Registry) -> None:
    try:
        await registry.close()
    except Exception:
        # The process has stopped in order but for this.
        _log.exception("closing the registry failed")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, which halves what a call costs, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
