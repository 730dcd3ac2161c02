"""What a generated stub takes for its channel: each call goes to an instance of the pool."""

import os
from collections.abc import AsyncIterable, Callable, Iterable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from grpc_discovery.balancing import kinds
from grpc_discovery.balancing.call import Call
from grpc_discovery.balancing.endpoint import Endpoint
from grpc_discovery.balancing.idempotency import is_idempotent
from grpc_discovery.balancing.pool import Pool
from grpc_discovery.loop_thread import refuse_after_fork

Metadata = tuple[tuple[str, str | bytes], ...]


class BalancedChannel(aio.Channel):
    """A grpc.aio.Channel over all instances of a service.

    Without a timeout a call with one request and one response takes at most `timeout` seconds; a stream has no end, but waits at most so long
    for an instance to begin on, unless it is told to `wait_for_ready`.
    """

    def __init__(self, pool: Pool, timeout: float, metadata: Metadata, on_close: Callable[[], Any]) -> None:
        self.pool, self.timeout, self.metadata = pool, timeout, metadata
        self._on_close = on_close
        self.process = os.getpid()

    def unary_unary(self, method: str, *codec: Any, **codecs: Any) -> "Method":  # type: ignore[override]
        """A method with one request and one response."""
        return _UnaryUnary(self, "unary_unary", method, *codec, **codecs)

    def unary_stream(self, method: str, *codec: Any, **codecs: Any) -> "Method":  # type: ignore[override]
        """A method with one request and a stream of responses."""
        return _UnaryStream(self, "unary_stream", method, *codec, **codecs)

    def stream_unary(self, method: str, *codec: Any, **codecs: Any) -> "Method":  # type: ignore[override]
        """A method with a stream of requests and one response."""
        return _StreamUnary(self, "stream_unary", method, *codec, **codecs)

    def stream_stream(self, method: str, *codec: Any, **codecs: Any) -> "Method":  # type: ignore[override]
        """A method with a stream of requests and a stream of responses."""
        return _StreamStream(self, "stream_stream", method, *codec, **codecs)

    async def __aenter__(self) -> Self:
        """Nothing to do: instances are followed from the first."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close the connections to all instances. Calls under way are cut off, whatever `grace` says: await them first."""
        await self._on_close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """READY when an instance serves, else CONNECTING."""
        return grpc.ChannelConnectivity.READY if self.pool.is_serving else grpc.ChannelConnectivity.CONNECTING

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Return when the state is another than `last_observed_state`."""
        while self.get_state() is last_observed_state:
            await self.pool.wait_for_change(1.0)

    async def channel_ready(self) -> None:
        """Return when an instance serves."""
        while not self.pool.is_serving:
            await self.pool.wait_for_change(1.0)


class Method:
    """A method of a service, to be called like a function."""

    def __init__(
        self,
        channel: BalancedChannel,
        kind: str,
        path: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool = False,
    ) -> None:
        self._channel, self._kind = channel, kind
        self._method = (path, request_serializer, response_deserializer)
        self._idempotent = is_idempotent(path)

    def _begin(self, endpoint: Endpoint, request: Any, timeout: float | None, options: dict[str, Any]) -> Any:
        """Begin an attempt on an instance."""
        callable_ = endpoint.callables.get(self)
        if callable_ is None:
            callable_ = endpoint.callables[self] = getattr(endpoint.channel, self._kind)(*self._method)
        return callable_(request, timeout=timeout, **options)

    def _make(
        self, kind: type[Call], request: Any, timeout: float | None, metadata: Any, options: dict[str, Any]
    ) -> Any:
        """Begin a call of `kind`. `options` are those of gRPC: credentials, wait_for_ready, compression."""
        channel = self._channel
        refuse_after_fork(channel.process)
        if channel.metadata or metadata:
            options["metadata"] = (*channel.metadata, *(metadata or ()))
        return kind(
            channel.pool,
            lambda endpoint, left: self._begin(endpoint, request, left, options),
            idempotent=self._idempotent,
            timeout=timeout,
            patience=None if options.get("wait_for_ready") else channel.timeout,
        )


class _UnaryUnary(Method, aio.UnaryUnaryMultiCallable[Any, Any]):
    def __call__(  # type: ignore[override]  # the options of gRPC are handed on as they are
        self, request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any
    ) -> kinds.UnaryUnaryCall:
        """Make the call. `timeout` is in seconds."""
        bound = self._channel.timeout if timeout is None else timeout
        return self._make(kinds.UnaryUnaryCall, request, bound, metadata, options)  # type: ignore[no-any-return]


class _UnaryStream(Method, aio.UnaryStreamMultiCallable[Any, Any]):
    def __call__(  # type: ignore[override]
        self, request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any
    ) -> kinds.UnaryStreamCall:
        """Make the call. `timeout` is in seconds."""
        return self._make(kinds.UnaryStreamCall, request, timeout, metadata, options)  # type: ignore[no-any-return]


class _StreamUnary(Method, aio.StreamUnaryMultiCallable[Any, Any]):
    def __call__(  # type: ignore[override]
        self,
        request_iterator: AsyncIterable[Any] | Iterable[Any] | None = None,
        timeout: float | None = None,
        metadata: Any = None,
        **options: Any,
    ) -> kinds.StreamUnaryCall:
        """Make the call. `timeout` is in seconds; without an iterator the requests are written."""
        return self._make(kinds.StreamUnaryCall, request_iterator, timeout, metadata, options)  # type: ignore[no-any-return]


class _StreamStream(Method, aio.StreamStreamMultiCallable[Any, Any]):
    def __call__(  # type: ignore[override]
        self,
        request_iterator: AsyncIterable[Any] | Iterable[Any] | None = None,
        timeout: float | None = None,
        metadata: Any = None,
        **options: Any,
    ) -> kinds.StreamStreamCall:
        """Make the call. `timeout` is in seconds; without an iterator the requests are written."""
        return self._make(kinds.StreamStreamCall, request_iterator, timeout, metadata, options)  # type: ignore[no-any-return]
