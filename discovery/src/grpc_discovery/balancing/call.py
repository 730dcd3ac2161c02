"""The four kinds of calls over a pool of instances. Each is what grpc.aio's own is: awaited, iterated, read, written.

A call is made on one instance after the other until one has it: that attempt then is the call. One message can be sent again before the first
response, where that does no harm; a stream of requests is balanced at its begin and not repeated.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Generator
from functools import partialmethod
from typing import Any

import grpc
from grpc import aio

from grpc_discovery import tallies
from grpc_discovery.balancing.endpoint import Ejection, Endpoint
from grpc_discovery.balancing.pool import Pool
from grpc_discovery.telemetry.calls import CallerMethod
from grpc_discovery.telemetry.spans import Span, TraceContext

Seconds = float | None
Begin = Callable[[Endpoint, Seconds], Any]
"""Begins an attempt on an instance, with so many seconds to go (None: no end), and returns grpc.aio's call."""
_WORTH_REPEATING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


def was_not_sent(error: aio.AioRpcError) -> bool:
    """Whether there was no connection to send the call on; only the text tells, and test_retry.py holds it against a real refusal."""
    text = error.details() or ""
    return error.code() is grpc.StatusCode.UNAVAILABLE and text.startswith("failed to connect to all addresses")


def is_worth_repeating(error: aio.AioRpcError) -> bool:
    """Whether another instance may do better. A message that is too large, which only the text tells, is so everywhere."""
    return error.code() in _WORTH_REPEATING and "message larger than max" not in (error.details() or "").lower()


class Call(aio.Call):
    """What all kinds share: the task that finds an instance, and what is known of the call afterwards."""

    _ends_with_its_response = False

    def __init__(self, pool: Pool, begin: Begin, idempotent: bool, timeout: Seconds, patience: Seconds) -> None:
        """`timeout` is the call's, in seconds. Without one it waits `patience` seconds for an instance where it has none. None: no end."""
        self._pool, self._begin, self._idempotent, self._patience = pool, begin, idempotent, patience
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._attempt: Any = None
        self._began = 0.0
        self._error: aio.AioRpcError | None = None
        # A call is committed once the caller has seen something of its attempt; then no other attempt may replace it.
        self._cancelled = self._is_rerouted = self._was_moved = self._is_committed = False
        self._span: Span | None = None
        self._task = asyncio.create_task(self._run())

    def observe(self, method: CallerMethod, trace: TraceContext | None) -> None:
        """Tell `method` of the end of this call, and what happens meanwhile to its span, if it has one."""
        self._span = trace if isinstance(trace, Span) else None
        began = time.perf_counter()

        async def tell_late() -> None:
            method.end(trace, (await self.code()).name, time.perf_counter() - began)

        def tell(_: object) -> None:
            if self._error is not None:
                method.end(trace, self._error.code().name, time.perf_counter() - began)
            elif self._ends_with_its_response and not self._cancelled:
                method.end(trace, "OK", time.perf_counter() - began)
            else:
                self._telling = asyncio.create_task(tell_late())

        self.add_done_callback(tell)

    async def _run(self) -> Any:
        """Make attempts until one is the call. Returns what it began with, or None with `_error` set."""
        self._pool.budget.count_call()
        tried: list[Endpoint] = []
        try:
            while endpoint := await self._choose(tried):
                if self._span:
                    _note_attempt(self._span, endpoint, len(tried) + 1)
                try:
                    return await self._try(endpoint)
                except aio.AioRpcError as error:
                    self._error = error
                    if not await self._goes_elsewhere(endpoint, error):
                        break
                except asyncio.CancelledError:
                    if not self._is_rerouted or self._task.cancelling():
                        raise
                    self._is_rerouted = False
                tallies.RETRIES[self._pool.name] += 1
                if self._span:
                    why = self._error.code().name if self._error else "hung"
                    self._span.add_event("retry", server=endpoint.address, why=why)
                if endpoint in tried:
                    await asyncio.sleep(random.uniform(0.01, 0.05))
                tried.append(endpoint)
        except asyncio.CancelledError:
            self._cancelled, self._error = True, None
            raise

    async def _choose(self, tried: list[Endpoint]) -> Endpoint | None:
        """An instance, as soon as there is one; None, with `_error` set, when the time is over before that."""
        until = self._deadline or (self._patience and time.monotonic() + self._patience)
        while (left := 60.0 if until is None else until - time.monotonic()) > 0:
            if self._pool.is_closed:
                raise aio.UsageError("Channel is closed.")
            if endpoint := self._pool.choose(tried):
                return endpoint
            await self._pool.wait_for_change(left)
        details = f"no instance of {self._pool.name} can be called: {self._pool.describe()}"
        unavailable = aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), details, None)
        self._error = self._error or unavailable
        return None

    async def _try(self, endpoint: Endpoint) -> Any:
        """The first response of an attempt. Raises AioRpcError, and CancelledError also when it is rerouted."""
        self._began = time.monotonic()
        attempt = self._attempt = self._begin(endpoint, self.time_remaining())
        endpoint.begin(attempt, waits=True, reroute=self._reroute if self._idempotent else None)
        try:
            response = await self._first_response(attempt)
        except BaseException:
            attempt.cancel()
            endpoint.end(attempt)
            raise
        self._error = None
        endpoint.record_answer(attempt)
        return response

    async def _first_response(self, attempt: Any) -> Any:
        return await attempt

    def _reroute(self) -> None:
        self._is_rerouted = True
        self._attempt.cancel()

    async def _goes_elsewhere(self, endpoint: Endpoint, error: aio.AioRpcError) -> bool:
        """Whether another instance is asked after this failure."""
        if was_not_sent(error):
            endpoint.mark_unreachable()
            return True
        if endpoint.record_failure(error, time.monotonic() - self._began):
            self._pool.eject(endpoint, Ejection.FAILING)
            if self._span and endpoint.ejected:
                self._span.add_event("ejected", server=endpoint.address, reason=endpoint.ejected.value)
        if self._is_committed:
            return False
        if error.code() is not grpc.StatusCode.CANCELLED:
            return self._idempotent and is_worth_repeating(error) and self._pool.budget.take()
        # A server that stops answers so to what it had not begun, once; from any other it is the answer.
        if self._was_moved or not await endpoint.is_stopping() or not self._pool.budget.take():
            return False
        self._was_moved = True
        endpoint.mark_unreachable()
        return True

    async def _found(self) -> Any:
        """What the attempt that is the call began with. Raises AioRpcError."""
        found = await self._task
        if self._error is not None:
            raise self._error
        return found

    async def _told(self, what: str, when_cancelled: Any = None) -> Any:
        """Something about the call, from where it is known: its error, its attempt, or that it was cancelled before it had one."""
        await asyncio.wait([self._task])
        if self._error is not None:
            return getattr(self._error, what)()
        if self._attempt is None or (self._cancelled and not self._attempt.done()):
            return when_cancelled or aio.Metadata()
        return await getattr(self._attempt, what)()

    initial_metadata = partialmethod(_told, "initial_metadata")
    trailing_metadata = partialmethod(_told, "trailing_metadata")
    code = partialmethod(_told, "code", grpc.StatusCode.CANCELLED)
    details = partialmethod(_told, "details", "Locally cancelled by application!")

    async def wait_for_connection(self) -> None:
        await asyncio.shield(self._found())

    def cancelled(self) -> bool:
        return self._cancelled or bool(self._task.done() and self._attempt and self._attempt.cancelled())

    def done(self) -> bool:
        return self._task.done() and (self._error is not None or self._attempt is None or bool(self._attempt.done()))

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def cancel(self) -> bool:
        if self.done():
            return False
        self._cancelled = True
        if self._attempt is not None:
            self._attempt.cancel()
        self._task.cancel()
        return True

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        def look(_: object) -> None:
            if self.done():
                callback(self)
            else:
                self._attempt.add_done_callback(look)

        self._task.add_done_callback(look)


def _note_attempt(span: Span, endpoint: Endpoint, number: int) -> None:
    host, _, port = endpoint.address.rpartition(":")
    span.attributes |= {"server.address": host.strip("[]"), "server.port": int(port), "grpc_discovery.attempts": number}


class UnaryUnaryCall(Call, aio.UnaryUnaryCall[Any, Any]):
    """One request, one response."""

    _ends_with_its_response = True

    def __await__(self) -> Generator[Any, None, Any]:
        return self._found().__await__()


class _Responses(Call):
    """A call with a stream of responses: iterate it, or read it."""

    _first: Any = None

    async def read(self) -> Any:
        await self._found()
        first, self._first = self._first, None
        return await self._attempt.read() if first is None else first

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (response := await self.read()) is not aio.EOF:  # type: ignore[attr-defined]  # the stubs leave it out
            yield response


class UnaryStreamCall(_Responses, aio.UnaryStreamCall[Any, Any]):
    """One request, a stream of responses."""

    async def _first_response(self, attempt: Any) -> Any:
        self._first = await attempt.read()

    async def initial_metadata(self) -> Any:
        """As soon as it has come, which may be before the first response."""
        while not self._task.done():
            attempt = self._attempt
            is_live = attempt is not None and not attempt.done()
            sent = asyncio.ensure_future(attempt.initial_metadata() if is_live else asyncio.sleep(0.01))
            await asyncio.wait([sent, self._task], return_when=asyncio.FIRST_COMPLETED)
            if is_live and sent.done() and not sent.cancelled() and not attempt.done():
                self._is_committed = True
                return sent.result()
            sent.cancel()
        return await super().initial_metadata()


class _Requests(Call):
    """A call with a stream of requests: given as an iterator, or written one by one."""

    async def _try(self, endpoint: Endpoint) -> Any:
        self._attempt = self._begin(endpoint, self.time_remaining())
        endpoint.begin(self._attempt, waits=False)

    async def write(self, request: Any) -> None:
        await self._found()
        await self._attempt.write(request)

    async def done_writing(self) -> None:
        await self._found()
        await self._attempt.done_writing()


class StreamUnaryCall(_Requests, aio.StreamUnaryCall[Any, Any]):
    """A stream of requests, one response."""

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._found().__await__()
        return (yield from self._attempt.__await__())


class StreamStreamCall(_Requests, _Responses, aio.StreamStreamCall[Any, Any]):
    """A stream of requests, a stream of responses."""
