"""Finding services and calling them: a channel to each, over all its instances.

async with Discovery.from_environment("GREETER_") as discovery:
    greeter = GreeterStub(discovery.channel("acme.greeter.v1.Greeter"))
    reply = await greeter.SayHello(HelloRequest(name="you"))
"""

import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from grpc_discovery.addresses import check_service_name, parse_address
from grpc_discovery.balancing.blocking import BlockingChannel
from grpc_discovery.balancing.cache import InstanceCache
from grpc_discovery.balancing.channel import BalancedChannel
from grpc_discovery.balancing.pool import Pool
from grpc_discovery.balancing.resolver import Resolver
from grpc_discovery.loop_thread import LoopThread
from grpc_discovery.registry.interface import Registry
from grpc_discovery.registry.opening import OpeningRegistry
from grpc_discovery.settings import Settings

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS: list[tuple[str, int]] = [
    # Servers may answer with more than the four megabytes that gRPC takes by itself.
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # A connection on which nothing comes back, not even to a ping, is given up after three seconds.
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.http2.ping_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # An instance that returns on its port is seen within a second; by itself gRPC waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_http_proxy", 0),
]


class Discovery:
    """Finds services in a registry and calls them. Use it as a context; it belongs to one event loop, and to one process (no fork after it)."""

    def __init__(self, settings: Settings, *, registry: Registry | None = None) -> None:
        """`registry`, if given, is used and left open; otherwise the one of the settings is opened. Raises OSError for TLS files that cannot be read."""
        self.settings = settings
        self._given = registry
        self._credentials = settings.caller.tls.channel_credentials()
        token = settings.caller.token
        self._metadata = (("authorization", f"Bearer {token.get_secret_value()}"),) if token else ()
        self._cache = InstanceCache(settings.caller.cache)
        self._caller = uuid.uuid4().hex
        self._registry: Registry | None = None
        self._channels: dict[str, BalancedChannel] = {}
        self._resolvers: dict[str, Resolver] = {}
        self._pools: set[Pool] = set()
        self._listeners: dict[str, set[Pool]] = {}

    @classmethod
    def from_environment(cls, prefix: str, **values: Any) -> Self:
        """With the settings of the variables that begin with `prefix`; `values`, by flat names, go before them. Raises SettingsError."""
        return cls(Settings.from_environment(prefix, **values))

    async def __aenter__(self) -> Self:
        """Begin to open the registry; nothing is waited for."""
        self._registry = self._given or OpeningRegistry(self.settings.registry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all channels, and the registry if it was opened here."""
        for resolver in self._resolvers.values():
            await resolver.close()
        for pool in list(self._pools):
            await pool.close()
        if self._registry is not None and self._given is None:
            await self._registry.close()

    def channel(
        self,
        name: str,
        interceptors: Sequence[aio.ClientInterceptor] = (),
        compression: grpc.Compression | None = None,
    ) -> aio.Channel:
        """A channel to all instances of a service, given by its full name (`acme.greeter.v1.Greeter`) or its name in the registry.

        Instances are followed from the first call of this on. The same name without interceptors and compression gives the same channel.
        Interceptors run once an attempt: a call that is made again elsewhere passes them again. Raises ValueError for what is no name.
        """
        if interceptors or compression is not None:
            return self._new_channel(name, interceptors, compression)
        return self._shared_channel(name)

    def pool(self, name: str) -> Pool:
        """The instances of a service as they are known just now; for tools."""
        return self._shared_channel(name).pool

    def instances(self, name: str) -> dict[str, str]:
        """The list of a service's instances that is gone by just now: instance -> `host:port`."""
        return self._resolver(self.settings.registry.name_of(name)).instances

    async def listed(self, name: str) -> dict[str, str]:
        """The same list, once the registry has answered for the first time; waits without end for that."""
        resolver = self._resolver(self.settings.registry.name_of(name))
        await resolver.is_resolved.wait()
        return resolver.instances

    async def names(self) -> list[str]:
        """All names in the registry, sorted; waits without end until it is open. Raises RegistryUnavailable."""
        return await (await self._opened()).names()

    async def wait_until_serving(self, name: str) -> None:
        """Return when an instance of the service says that it serves; waits without end for that."""
        await self.channel(name).channel_ready()

    def open_channel(self, address: str) -> aio.Channel:
        """A channel to one instance, `host:port`, with TLS and all else as calls have it. Raises ValueError."""
        return self._open_channel(address, (), None)

    @property
    def problem(self) -> str:
        """Why the registry is not open; '' when it is."""
        return self._registry.problem if isinstance(self._registry, OpeningRegistry) else ""

    async def _opened(self) -> Registry:
        """The registry, as soon as it is open."""
        registry = self._registry
        return await registry.wait_open() if isinstance(registry, OpeningRegistry) else registry  # type: ignore[return-value]

    def _resolver(self, name: str) -> Resolver:
        """The one that follows `name` in the registry."""
        if self._registry is None:
            raise RuntimeError("Discovery is used as a context: `async with Discovery(...) as discovery:`")
        if name not in self._resolvers:
            check_service_name(name)

            def on_update(instances: dict[str, str]) -> None:
                for pool in self._listeners.get(name, ()):
                    pool.set_addresses(instances.values())
                self._cache.keep(name, instances)

            self._resolvers[name] = Resolver(
                name, self._opened, self.settings.caller.empty_wait, self._cache.recall(name), on_update
            )
        return self._resolvers[name]

    def _shared_channel(self, name: str) -> BalancedChannel:
        if name not in self._channels:
            self._channels[name] = self._new_channel(name, (), None)
        return self._channels[name]

    def _new_channel(
        self, service: str, interceptors: Sequence[aio.ClientInterceptor], compression: grpc.Compression | None
    ) -> BalancedChannel:
        name = self.settings.registry.name_of(service)
        resolver = self._resolver(name)
        pool = Pool(
            name,
            service,
            lambda address: self._open_channel(address, interceptors, compression),
            caller=self._caller,
            max_endpoints=self.settings.caller.max_endpoints,
            on_unreachable=resolver.refresh_soon,
            explain_empty=lambda: (
                "none is known"
                if resolver.is_resolved.is_set()
                else f"the registry gives no answer{self.problem and f': {self.problem}'}"
            ),
        )
        listeners = self._listeners.setdefault(name, set())
        listeners.add(pool)
        self._pools.add(pool)
        pool.set_addresses(resolver.instances.values())

        async def on_close() -> None:
            listeners.discard(pool)
            self._pools.discard(pool)
            if self._channels.get(service) is channel:
                del self._channels[service]
            await pool.close()

        channel = BalancedChannel(pool, self.settings.caller.timeout, self._metadata, on_close)
        return channel

    def _open_channel(
        self, address: str, interceptors: Sequence[aio.ClientInterceptor], compression: grpc.Compression | None
    ) -> aio.Channel:
        target = parse_address(address).target
        if self._credentials is None:
            return aio.insecure_channel(target, _OPTIONS, compression, interceptors)
        name = self.settings.caller.server_name
        named = [("grpc.ssl_target_name_override", name)] if name else []
        return aio.secure_channel(target, self._credentials, [*_OPTIONS, *named], compression, interceptors)


class BlockingDiscovery:
    """The same for programs without asyncio. Use it as a context; many threads may share it."""

    def __init__(self, settings: Settings, *, registry: Registry | None = None) -> None:
        """See Discovery."""
        self._discovery = Discovery(settings, registry=registry)
        self._thread: LoopThread | None = None

    @classmethod
    def from_environment(cls, prefix: str, **values: Any) -> Self:
        """See Discovery."""
        return cls(Settings.from_environment(prefix, **values))

    def __enter__(self) -> Self:
        """Start the thread in which the calls are made."""
        self._thread, _ = LoopThread.begun_with("grpc-discovery", self._discovery.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all channels and end the thread."""
        if self._thread:
            thread, self._thread = self._thread, None
            thread.end_with(lambda: self._discovery.__aexit__(None, None, None))

    def channel(self, name: str) -> grpc.Channel:
        """A grpc.Channel to all instances of a service, for a generated stub. Raises ValueError for what is no name."""
        if self._thread is None:
            raise RuntimeError("BlockingDiscovery is used as a context: `with BlockingDiscovery(...) as discovery:`")

        async def inside() -> aio.Channel:
            return self._discovery.channel(name)

        return BlockingChannel(self._thread, self._thread.run(inside))
