"""The four kinds of calls. Each is what grpc.aio's own is: awaited, iterated, read, written.

A request of one message can be sent again before the first response, where that does no harm; a stream of requests is balanced at its begin and
not repeated.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Generator
from typing import Any

import grpc
from grpc import aio

from grpc_discovery.balancing.call import Call
from grpc_discovery.balancing.endpoint import Endpoint
from grpc_discovery.balancing.retry import is_worth_repeating, was_not_sent

_PAUSE_SECONDS = (0.01, 0.05)
_LOOK_SECONDS = 0.01


class Rerouted(Exception):
    """The attempt was taken off a hung instance and is to be made on another."""


class _OneRequest(Call):
    """A call whose request is one message, so that it can be sent again."""

    _is_committed = False
    """Whether the caller has seen something of the attempt, so that no other may take its place."""

    async def _make(self) -> Any:
        self._pool.budget.count_call()
        tried: list[Endpoint] = []
        moved = False
        while True:
            endpoint, left = await self._choose(tried)
            try:
                return await self._first_response(endpoint, left)
            except Rerouted:
                pass
            except aio.AioRpcError as error:
                self._error = error
                if self._is_committed:
                    raise
                if was_not_sent(error):
                    endpoint.mark_unreachable()
                elif error.code() is grpc.StatusCode.CANCELLED:
                    # A server that stops answers so to what it had not begun, once; from any other it is the answer.
                    if moved or not await endpoint.is_stopping() or not self._pool.budget.take():
                        raise
                    moved = True
                    endpoint.mark_unreachable()
                else:
                    self._pool.review(endpoint)
                    if not (self._idempotent and is_worth_repeating(error) and self._pool.budget.take()):
                        raise
            if endpoint in tried:
                await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))
            tried.append(endpoint)

    async def _first_response(self, endpoint: Endpoint, left: float | None) -> Any:
        """Make an attempt until its first response. Raises AioRpcError, and Rerouted."""
        attempt = self._attempt = self._begin(endpoint, left)
        endpoint.begin(attempt, self._idempotent)
        try:
            response = await self._response_of(attempt)
        except BaseException as error:
            task = asyncio.current_task()
            is_rerouted = endpoint.was_rerouted(attempt) and not (task and task.cancelling())
            if isinstance(error, aio.AioRpcError):
                endpoint.record_failure(attempt, error)
            attempt.cancel()
            endpoint.end(attempt)
            if is_rerouted and isinstance(error, asyncio.CancelledError):
                raise Rerouted from None
            raise
        self._error = None
        endpoint.record_answer(attempt)
        self._end(endpoint, attempt)
        return response

    async def _response_of(self, attempt: Any) -> Any:
        """The first response of an attempt."""
        raise NotImplementedError

    def _end(self, endpoint: Endpoint, attempt: Any) -> None:
        """The first response has come: with it the attempt is over, or goes on as a stream."""
        endpoint.end(attempt)


class UnaryUnaryCall(_OneRequest, aio.UnaryUnaryCall[Any, Any]):
    """One request, one response: await it."""

    async def _response_of(self, attempt: Any) -> Any:
        return await attempt

    def __await__(self) -> Generator[Any, None, Any]:
        """The response. Raises AioRpcError."""
        response = yield from self._task
        if self._error is not None:
            raise self._error
        return response


class _Responses(Call):
    """A call with a stream of responses: iterate it, or read it."""

    _first: Any = None
    _iterator: AsyncIterator[Any] | None = None

    async def read(self) -> Any:
        """The next response; grpc.aio.EOF when there is no more. Raises AioRpcError."""
        await self._task
        if self._error is not None:
            raise self._error
        if self._first is not None:
            response, self._first = self._first, None
            return response
        return await self._attempt.read()

    def __aiter__(self) -> AsyncIterator[Any]:
        """The responses, one after the other. Raises AioRpcError."""
        if self._iterator is None:
            self._iterator = self._iterate()
        return self._iterator

    async def _iterate(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not aio.EOF:  # type: ignore[attr-defined]  # the stubs leave it out
            yield response


class UnaryStreamCall(_Responses, _OneRequest, aio.UnaryStreamCall[Any, Any]):
    """One request, a stream of responses."""

    async def initial_metadata(self) -> aio.Metadata:
        """What the instance sent before its first response, as soon as it has come."""
        while not self._task.done():
            attempt = self._attempt
            if attempt is None:
                await asyncio.wait([self._task], timeout=_LOOK_SECONDS)
                continue
            sent = asyncio.ensure_future(attempt.initial_metadata())
            await asyncio.wait([sent, self._task], return_when=asyncio.FIRST_COMPLETED)
            if sent.done() and not sent.cancelled() and not attempt.done():
                self._is_committed = True
                return sent.result()  # type: ignore[no-any-return]
            sent.cancel()
            await asyncio.sleep(0)
        return await super().initial_metadata()

    async def _response_of(self, attempt: Any) -> Any:
        self._first = None
        self._first = await attempt.read()
        return self._first

    def _end(self, endpoint: Endpoint, attempt: Any) -> None:
        attempt.add_done_callback(lambda _: endpoint.end(attempt))


class _Requests(Call):
    """A call with a stream of requests: given as an iterator, or written one by one."""

    async def _make(self) -> Any:
        self._pool.budget.count_call()
        endpoint, left = await self._choose([])
        attempt = self._attempt = self._begin(endpoint, left)
        endpoint.count_call()
        attempt.add_done_callback(lambda _: endpoint.end(attempt))
        return attempt

    async def _begun(self) -> Any:
        """The attempt, as soon as there is one. Raises AioRpcError."""
        attempt = await self._task
        if self._error is not None:
            raise self._error
        return attempt

    async def write(self, request: Any) -> None:
        """Send a request. Raises AioRpcError."""
        await (await self._begun()).write(request)

    async def done_writing(self) -> None:
        """Tell that there are no more requests."""
        await (await self._begun()).done_writing()


class StreamUnaryCall(_Requests, aio.StreamUnaryCall[Any, Any]):
    """A stream of requests, one response: await it."""

    def __await__(self) -> Generator[Any, None, Any]:
        """The response. Raises AioRpcError."""
        return self._response().__await__()

    async def _response(self) -> Any:
        return await (await self._begun())


class StreamStreamCall(_Requests, _Responses, aio.StreamStreamCall[Any, Any]):
    """A stream of requests, a stream of responses."""
