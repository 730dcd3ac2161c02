"""What a generated stub takes for its channel: each call goes to an instance of the pool."""

import os
from collections.abc import Callable
from functools import partialmethod
from operator import methodcaller
from typing import Any, Self

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions
from grpc import aio

from grpc_discovery.balancing import call
from grpc_discovery.balancing.endpoint import Endpoint
from grpc_discovery.balancing.pool import Pool
from grpc_discovery.loop_thread import refuse_after_fork
from grpc_discovery.settings import CallerSettings
from grpc_discovery.telemetry.calls import CallerMethod

Observed = Callable[[str], CallerMethod] | None


def is_idempotent(path: str) -> bool:
    """Whether `/package.Service/Name` may be done twice: by its proto's `idempotency_level`, where this process has its descriptor."""
    service, _, name = path.removeprefix("/").rpartition("/")
    try:
        method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    except KeyError:
        return False
    return method.GetOptions().idempotency_level in {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT}


class Method:
    """A method of a service, to be called like a function."""

    def __init__(
        self, channel: "BalancedChannel", kind: type[call.Call], opened_by: str, method: str, *codec: Any, **codecs: Any
    ) -> None:
        self._channel, self._kind = channel, kind
        self._open = methodcaller(opened_by, method, *codec, **codecs)
        self._idempotent = is_idempotent(method)
        self._observed = channel.observed(method) if channel.observed else None

    def __call__(self, request: Any = None, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
        """Make the call: `timeout` in seconds, `options` as gRPC has them. A stream of requests is an iterator, or None: it is written."""
        channel = self._channel
        refuse_after_fork(channel.process)
        request = options.pop("request_iterator", request)
        trace = self._observed.begin() if self._observed else None
        if channel.metadata or metadata or trace:
            options["metadata"] = (*channel.metadata, *(trace.as_metadata() if trace else ()), *(metadata or ()))
        if timeout is None and self._kind is call.UnaryUnaryCall:
            timeout = channel.timeout

        def begin(endpoint: Endpoint, left: float | None) -> Any:
            if self not in endpoint.callables:
                endpoint.callables[self] = self._open(endpoint.channel)
            return endpoint.callables[self](request, timeout=left, **options)

        patience = None if options.get("wait_for_ready") else channel.timeout
        made = self._kind(channel.pool, begin, self._idempotent, timeout, patience)
        if self._observed:
            made.observe(self._observed, trace)
        return made


class BalancedChannel(aio.Channel):
    """A grpc.aio.Channel over all instances of a service.

    Without a timeout a call with one request and one response takes at most the settings' `timeout`; a stream has no end, but waits at most so
    long for an instance to begin on, unless it is told to `wait_for_ready`.
    """

    def __init__(self, pool: Pool, settings: CallerSettings, observed: Observed = None) -> None:
        """`observed` gives what measures and traces the calls of a method; None: neither."""
        self.observed = observed
        self.pool, self.timeout, self.process = pool, settings.timeout, os.getpid()
        token = settings.token
        self.metadata = (("authorization", f"Bearer {token.get_secret_value()}"),) if token else ()

    unary_unary = partialmethod(Method, call.UnaryUnaryCall, "unary_unary")  # type: ignore[assignment]
    unary_stream = partialmethod(Method, call.UnaryStreamCall, "unary_stream")  # type: ignore[assignment]
    stream_unary = partialmethod(Method, call.StreamUnaryCall, "stream_unary")  # type: ignore[assignment]
    stream_stream = partialmethod(Method, call.StreamStreamCall, "stream_stream")  # type: ignore[assignment]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close the connections to all instances. Calls under way are cut off, whatever `grace` says: await them first."""
        await self.pool.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """READY when an instance serves, else CONNECTING."""
        return grpc.ChannelConnectivity.READY if self.pool.is_serving else grpc.ChannelConnectivity.CONNECTING

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        while self.get_state() is last_observed_state:
            await self.pool.wait_for_change(1.0)

    async def channel_ready(self) -> None:
        await self.wait_for_state_change(grpc.ChannelConnectivity.CONNECTING)
