"""A channel for programs without asyncio: what generated stubs use, on calls that are made in a thread of their own."""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partialmethod
from typing import Any, NoReturn, Self

import grpc
from grpc import aio

from grpc_discovery.loop_thread import LoopThread


class BlockingCall:
    """A call that is under way in the thread, as far as grpc.Call and grpc.Future have what scripts use of it."""

    def __init__(self, thread: LoopThread, begin: Callable[[], Any]) -> None:
        self._thread = thread
        self._call = self._run(begin)

    def _run(self, work: Callable[..., Any], *given: Any) -> Any:
        async def inside() -> Any:  # in the thread of the call, where alone it may be touched
            return work(*given)

        return self._thread.run(inside)

    def result(self, timeout: float | None = None) -> Any:
        """The response. Raises grpc.RpcError, grpc.FutureTimeoutError after `timeout` seconds, grpc.FutureCancelledError."""
        try:
            return self._thread.run(lambda: asyncio.shield(self._call), timeout)
        except TimeoutError:
            raise grpc.FutureTimeoutError from None
        except concurrent.futures.CancelledError:
            raise grpc.FutureCancelledError from None
        except KeyboardInterrupt:
            self.cancel()
            raise

    def exception(self, timeout: float | None = None) -> Exception | None:
        try:
            self.result(timeout)
        except grpc.RpcError as error:
            return error
        return None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        response = self._thread.run(self._call.read)
        if response is aio.EOF:  # type: ignore[attr-defined]  # the stubs leave it out
            raise StopIteration
        return response

    def _told(self, what: str) -> Any:
        return self._thread.run(getattr(self._call, what))

    code = partialmethod(_told, "code")
    details = partialmethod(_told, "details")
    initial_metadata = partialmethod(_told, "initial_metadata")
    trailing_metadata = partialmethod(_told, "trailing_metadata")

    def cancel(self) -> bool:
        return bool(self._run(self._call.cancel))

    def cancelled(self) -> bool:
        return bool(self._call.cancelled())

    def done(self) -> bool:
        return bool(self._call.done())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback` with this call when it is over, in the thread of the calls."""
        self._run(self._call.add_done_callback, lambda _: callback(self))


class _Method:
    """A method of a service, to be called like a function. `timeout` is in seconds; grpc.RpcError is raised."""

    def __init__(self, channel: "BlockingChannel", kind: str, *method: Any, **codecs: Any) -> None:
        self._thread = channel.thread
        self._method = getattr(channel.channel, kind)(*method, **codecs)
        self._takes, self._gives = kind.split("_")

    def __call__(self, request: Any, timeout: float | None = None, **options: Any) -> Any:
        call = self.future(request, timeout, **options)
        return call if self._gives == "stream" else call.result()

    def with_call(self, request: Any, timeout: float | None = None, **options: Any) -> tuple[Any, BlockingCall]:
        call = self.future(request, timeout, **options)
        return call.result(), call

    def future(self, request: Any, timeout: float | None = None, **options: Any) -> BlockingCall:
        sent = _pulled(request) if self._takes == "stream" else request
        return BlockingCall(self._thread, lambda: self._method(sent, timeout=timeout, **options))


async def _pulled(requests: Iterable[Any]) -> AsyncIterator[Any]:
    """The requests, each taken in a thread of its own, because an iterator may wait."""
    iterator, end = iter(requests), object()
    while (request := await asyncio.to_thread(next, iterator, end)) is not end:
        yield request


class BlockingChannel(grpc.Channel):
    """A grpc.Channel whose calls wait for their answers. Many threads may share it."""

    def __init__(self, thread: LoopThread, channel: aio.Channel) -> None:
        self.thread, self.channel = thread, channel

    unary_unary = partialmethod(_Method, "unary_unary")  # type: ignore[assignment]
    unary_stream = partialmethod(_Method, "unary_stream")  # type: ignore[assignment]
    stream_unary = partialmethod(_Method, "stream_unary")  # type: ignore[assignment]
    stream_stream = partialmethod(_Method, "stream_stream")  # type: ignore[assignment]

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> NoReturn:
        raise NotImplementedError("the state of a service is not that of one connection")

    unsubscribe = subscribe

    def close(self) -> None:
        self.thread.run(lambda: self.channel.close(None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
