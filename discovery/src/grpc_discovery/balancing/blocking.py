"""A channel for programs without asyncio: what generated stubs use, on calls that are made in a thread of their own."""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from grpc import aio

from grpc_discovery.loop_thread import LoopThread

_END = object()


class BlockingCall:
    """A call that is under way in the thread, as far as grpc.Call and grpc.Future have what scripts use of it."""

    def __init__(self, thread: LoopThread, begin: Callable[[], Any]) -> None:
        self._thread = thread
        self._call = self._run(begin)

    def _run(self, work: Callable[[], Any]) -> Any:
        """Do something with the call in its thread, where alone it may be touched, and return what it returns."""

        async def inside() -> Any:
            return work()

        return self._thread.run(inside)

    def result(self, timeout: float | None = None) -> Any:
        """The response. Raises grpc.RpcError, grpc.FutureTimeoutError after `timeout` seconds, grpc.FutureCancelledError."""
        try:
            return self._thread.run(lambda: asyncio.shield(self._response()), timeout)
        except TimeoutError:
            raise grpc.FutureTimeoutError from None
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            raise grpc.FutureCancelledError from None
        except KeyboardInterrupt:
            self.cancel()
            raise

    async def _response(self) -> Any:
        return await self._call

    def exception(self, timeout: float | None = None) -> Exception | None:
        """The grpc.RpcError that the call ended with, or None."""
        try:
            self.result(timeout)
        except grpc.RpcError as error:
            return error
        return None

    def __iter__(self) -> Iterator[Any]:
        """The responses, one after the other."""
        return self

    def __next__(self) -> Any:
        """The next response. Raises grpc.RpcError."""
        response = self._thread.run(self._call.read)
        if response is aio.EOF:  # type: ignore[attr-defined]  # the stubs leave it out
            raise StopIteration
        return response

    def code(self) -> grpc.StatusCode:
        """The status, when the call is over."""
        return self._thread.run(self._call.code)  # type: ignore[no-any-return]

    def details(self) -> str:
        """The status' text, when the call is over."""
        return self._thread.run(self._call.details)  # type: ignore[no-any-return]

    def initial_metadata(self) -> Any:
        """What the instance sent before its first response."""
        return self._thread.run(self._call.initial_metadata)

    def trailing_metadata(self) -> Any:
        """What the instance sent with its status."""
        return self._thread.run(self._call.trailing_metadata)

    def cancel(self) -> bool:
        """Cancel the call; False when it is over already."""
        return bool(self._run(self._call.cancel))

    def cancelled(self) -> bool:
        """Whether the call was cancelled on this side."""
        return bool(self._call.cancelled())

    def done(self) -> bool:
        """Whether the call is over."""
        return bool(self._call.done())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback` with this call when it is over, in the thread of the calls."""
        self._run(lambda: self._call.add_done_callback(lambda _: callback(self)))


class _Method:
    """A method of a service, to be called like a function. `timeout` is in seconds; grpc.RpcError is raised."""

    def __init__(self, thread: LoopThread, method: Any, *, takes_stream: bool, gives_stream: bool) -> None:
        self._thread, self._method = thread, method
        self._takes_stream, self._gives_stream = takes_stream, gives_stream

    def __call__(self, request: Any, timeout: float | None = None, **options: Any) -> Any:
        """The response, or the call, to be iterated, where there is a stream of them."""
        call = self.future(request, timeout, **options)
        return call if self._gives_stream else call.result()

    def with_call(self, request: Any, timeout: float | None = None, **options: Any) -> tuple[Any, BlockingCall]:
        """The response, and the call with its status and metadata."""
        call = self.future(request, timeout, **options)
        return call.result(), call

    def future(self, request: Any, timeout: float | None = None, **options: Any) -> BlockingCall:
        """The call; its result is waited for later."""
        sent = _pulled(request) if self._takes_stream else request
        return BlockingCall(self._thread, lambda: self._method(sent, timeout=timeout, **options))


async def _pulled(requests: Iterable[Any]) -> AsyncIterator[Any]:
    """The requests, each taken in a thread of its own, because an iterator may wait."""
    iterator = iter(requests)
    while (request := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield request


class BlockingChannel(grpc.Channel):
    """A grpc.Channel whose calls wait for their answers. Many threads may share it."""

    def __init__(self, thread: LoopThread, channel: aio.Channel) -> None:
        self._thread, self._channel = thread, channel

    def _opened(self, kind: str, *serializers: Any, **options: Any) -> Any:
        method = getattr(self._channel, kind)(*serializers, **options)
        takes, gives = kind.split("_")
        return _Method(self._thread, method, takes_stream=takes == "stream", gives_stream=gives == "stream")

    def unary_unary(self, *method: Any, **options: Any) -> Any:
        """A method with one request and one response."""
        return self._opened("unary_unary", *method, **options)

    def unary_stream(self, *method: Any, **options: Any) -> Any:
        """A method with one request and a stream of responses."""
        return self._opened("unary_stream", *method, **options)

    def stream_unary(self, *method: Any, **options: Any) -> Any:
        """A method with a stream of requests and one response."""
        return self._opened("stream_unary", *method, **options)

    def stream_stream(self, *method: Any, **options: Any) -> Any:
        """A method with a stream of requests and a stream of responses."""
        return self._opened("stream_stream", *method, **options)

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> NoReturn:
        """Not offered: a service has as many connections as instances."""
        raise NotImplementedError("the state of a service is not that of one connection")

    unsubscribe = subscribe

    def close(self) -> None:
        """Close the connections to all instances."""
        self._thread.run(lambda: self._channel.close(None))

    def __enter__(self) -> Self:
        """Nothing to do: instances are followed from the first."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
