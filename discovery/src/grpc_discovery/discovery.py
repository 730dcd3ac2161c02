"""Finding services and calling them: a channel to each, over all its instances.

async with Discovery.from_environment("GREETER_") as discovery:
    greeter = GreeterStub(discovery.channel("acme.greeter.v1.Greeter"))
    reply = await greeter.SayHello(HelloRequest(name="you"))
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import grpc
from grpc import aio
from grpc.aio import Channel

from grpc_discovery.addresses import check_service_name, parse_address
from grpc_discovery.balancing.blocking import BlockingChannel
from grpc_discovery.balancing.channel import BalancedChannel
from grpc_discovery.balancing.pool import Pool
from grpc_discovery.balancing.resolver import InstanceCache, Resolver, opened
from grpc_discovery.loop_thread import LoopThread
from grpc_discovery.registry.factory import OpeningRegistry
from grpc_discovery.registry.interface import Registry
from grpc_discovery.settings import Settings
from grpc_discovery.telemetry.switch import caller_methods

_OPTIONS: list[tuple[str, int]] = [
    # Servers may answer with more than the four megabytes that gRPC takes by itself.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
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

Interceptors = Sequence[aio.ClientInterceptor]
Compression = grpc.Compression | None


class Discovery:
    """Finds services in a registry and calls them. Use it as a context; it belongs to one event loop, and to one process (no fork after it)."""

    def __init__(self, settings: Settings, *, registry: Registry | None = None) -> None:
        """`registry`, if given, is used and left open; otherwise the one of the settings is opened. Raises OSError for TLS files that cannot be read."""
        self.settings, self._given = settings, registry
        self._observed = caller_methods(settings)
        self._credentials = settings.caller.tls.channel_credentials()
        self._cache = InstanceCache(settings.caller.cache)
        self._registry: Registry | None = None
        self._resolvers: dict[str, Resolver] = {}
        self._channels: dict[str, BalancedChannel] = {}
        self._pools: list[Pool] = []

    @classmethod
    def from_environment(cls, prefix: str, **values: Any) -> Self:
        """With the settings of the variables that begin with `prefix`; `values`, by flat names, go before them. Raises SettingsError."""
        return cls(Settings.from_environment(prefix, **values))

    async def __aenter__(self) -> Self:
        """Begin to open the registry; nothing is waited for."""
        self._registry = self._given or OpeningRegistry(self.settings.registry)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all channels, and the registry if it was opened here."""
        await asyncio.gather(*(resolver.close() for resolver in self._resolvers.values()))
        await asyncio.gather(*(pool.close() for pool in self._pools))
        if self._registry is not None and self._given is None:
            await self._registry.close()

    def channel(self, name: str, interceptors: Interceptors = (), compression: Compression = None) -> BalancedChannel:
        """A grpc.aio.Channel to all instances of a service, given by its full name (`acme.greeter.v1.Greeter`) or its name in the registry.

        Instances are followed from the first call of this on. The same name without interceptors and compression gives the same channel.
        Interceptors run once an attempt: a call that is made again elsewhere passes them again. Raises ValueError for what is no name.
        """
        is_shared = not interceptors and compression is None
        if is_shared and name in self._channels and not self._channels[name].pool.is_closed:
            return self._channels[name]
        open_channel = partial(self.open_channel, interceptors=interceptors, compression=compression)
        pool = Pool(self._resolver(name), name, open_channel, self.settings.caller.max_endpoints)
        self._pools = [pool, *(each for each in self._pools if not each.is_closed)]
        channel = BalancedChannel(pool, self.settings.caller, self._observed)
        if is_shared:
            self._channels[name] = channel
        return channel

    def pool(self, name: str) -> Pool:
        """The instances of a service as they are known just now; for tools."""
        return self.channel(name).pool

    def instances(self, name: str) -> dict[str, str]:
        """The list of a service's instances that is gone by just now: instance -> `host:port`."""
        return self._resolver(name).instances

    async def listed(self, name: str) -> dict[str, str]:
        """The same list, once the registry has answered for the first time; waits without end for that."""
        await self._resolver(name).is_resolved.wait()
        return self.instances(name)

    async def names(self) -> list[str]:
        """All names in the registry, sorted; waits without end until it is open. Raises RegistryUnavailable."""
        return await (await opened(self._used())).names()

    def open_channel(self, address: str, interceptors: Interceptors = (), compression: Compression = None) -> Channel:
        """A channel to one instance, `host:port`, with TLS and all else as calls have it. Raises ValueError."""
        target = parse_address(address).target
        if self._credentials is None:
            return aio.insecure_channel(target, _OPTIONS, compression, interceptors)
        name = self.settings.caller.server_name
        named = [("grpc.ssl_target_name_override", name)] if name else []
        return aio.secure_channel(target, self._credentials, [*_OPTIONS, *named], compression, interceptors)

    def _resolver(self, service: str) -> Resolver:
        name = check_service_name(self.settings.registry.name_of(service))
        if name not in self._resolvers:
            self._resolvers[name] = Resolver(name, self._used(), self.settings.caller.empty_wait, self._cache)
        return self._resolvers[name]

    def _used(self) -> Registry:
        if self._registry is None:
            raise RuntimeError("Discovery is used as a context: `async with Discovery(...) as discovery:`")
        return self._registry


class BlockingDiscovery:
    """The same for programs without asyncio. Use it as a context; many threads may share it."""

    def __init__(self, settings: Settings, *, registry: Registry | None = None) -> None:
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

    def __exit__(self, *_: object) -> None:
        """Close all channels and end the thread."""
        if self._thread:
            thread, self._thread = self._thread, None
            thread.end_with(lambda: self._discovery.__aexit__(None, None, None))

    def channel(self, name: str) -> grpc.Channel:
        """A grpc.Channel to all instances of a service, for a generated stub. Raises ValueError for what is no name."""
        if self._thread is None:
            raise RuntimeError("BlockingDiscovery is used as a context: `with BlockingDiscovery(...) as discovery:`")

        async def inside() -> Channel:
            return self._discovery.channel(name)

        return BlockingChannel(self._thread, self._thread.run(inside))
