"""A call over a pool of instances, whatever its kind: what grpc.aio's own calls offer besides requests and responses.

A call is made on one instance after the other until one has it: that attempt then is the call. The four kinds stand in kinds.py.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from grpc import aio

from grpc_discovery.balancing.endpoint import Endpoint
from grpc_discovery.balancing.pool import Pool

# Between two looks of a call that waits without end.
_WAIT_SECONDS = 60.0
_CANCELLED = "Locally cancelled by application!"

Begin = Callable[[Endpoint, float | None], Any]
"""Begins an attempt on an instance, with so many seconds to go (None: no end), and returns grpc.aio's call."""


class Call(aio.Call):
    """What the four kinds share: the task that finds an instance, and what is known of the call afterwards."""

    def __init__(
        self, pool: Pool, begin: Begin, *, idempotent: bool, timeout: float | None, patience: float | None
    ) -> None:
        """`timeout` is the call's, in seconds; `patience` is how long it waits for an instance where it has none; None for no end."""
        self._pool, self._begin, self._idempotent, self._patience = pool, begin, idempotent, patience
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._attempt: Any = None
        self._error: aio.AioRpcError | None = None
        self._cancelled = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> Any:
        """Make the call, or as much of it as needs an instance; what comes of it, or None with `_error` set."""
        try:
            return await self._make()
        except aio.AioRpcError as error:
            self._error = error
        except asyncio.CancelledError:
            self._cancelled, self._error = True, None
            raise
        return None

    async def _make(self) -> Any:
        """See the kinds."""
        raise NotImplementedError

    def _seconds_left(self) -> float | None:
        """What is left of the call's time. Raises AioRpcError when nothing is."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._error or self._unavailable()
        return left

    async def _choose(self, tried: list[Endpoint]) -> tuple[Endpoint, float | None]:
        """An instance, as soon as there is one, and the time left then. Raises AioRpcError when the time is over before that."""
        give_up = None if self._patience is None else time.monotonic() + self._patience
        while True:
            left = self._seconds_left()
            endpoint = self._pool.choose(tried)
            if endpoint is not None:
                return endpoint, left
            if self._pool.is_closed:
                raise aio.UsageError("Channel is closed.")
            wait = left if left is not None else give_up - time.monotonic() if give_up is not None else _WAIT_SECONDS
            if wait <= 0:
                raise self._error or self._unavailable()
            await self._pool.wait_for_change(wait)

    def _unavailable(self) -> aio.AioRpcError:
        details = f"no instance of {self._pool.name} can be called: {self._pool.describe()}"
        return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), details, None)

    async def _settled(self) -> None:
        """Return when it is known which attempt is the call, or that there is none."""
        await asyncio.wait([self._task])

    async def _told(self, of_error: Callable[[aio.AioRpcError], Any], of_attempt: str, when_cancelled: Any) -> Any:
        """Something about the call, from where it is known: its error, its attempt, or that it was cancelled before it had one."""
        await self._settled()
        if self._error is not None:
            return of_error(self._error)
        if self._attempt is None or (self._cancelled and not self._attempt.done()):
            return when_cancelled
        return await getattr(self._attempt, of_attempt)()

    async def initial_metadata(self) -> aio.Metadata:
        """What the instance sent before its first response."""
        return await self._told(lambda error: error.initial_metadata(), "initial_metadata", aio.Metadata())  # type: ignore[no-any-return]

    async def trailing_metadata(self) -> aio.Metadata:
        """What the instance sent with its status."""
        return await self._told(lambda error: error.trailing_metadata(), "trailing_metadata", aio.Metadata())  # type: ignore[no-any-return]

    async def code(self) -> grpc.StatusCode:
        """The status, when the call is over."""
        return await self._told(lambda error: error.code(), "code", grpc.StatusCode.CANCELLED)  # type: ignore[no-any-return]

    async def details(self) -> str:
        """The status' text, when the call is over."""
        return await self._told(lambda error: error.details() or "", "details", _CANCELLED)  # type: ignore[no-any-return]

    async def debug_error_string(self) -> str:
        """What gRPC knows more about a failure."""
        return await self._told(lambda error: error.debug_error_string() or "", "debug_error_string", "")  # type: ignore[no-any-return]

    async def wait_for_connection(self) -> None:
        """Return when the call is on an instance. Raises AioRpcError when none could be reached."""
        await self._settled()
        if self._error is not None:
            raise self._error

    def cancelled(self) -> bool:
        """Whether the call was cancelled on this side."""
        return self._cancelled or bool(self._attempt is not None and self._task.done() and self._attempt.cancelled())

    def done(self) -> bool:
        """Whether the call is over."""
        return self._task.done() and (self._error is not None or self._attempt is None or bool(self._attempt.done()))

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None where the call has none."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def cancel(self) -> bool:
        """Cancel the call; False when it is over already."""
        if self.done():
            return False
        self._cancelled = True
        if self._attempt is not None:
            self._attempt.cancel()
        self._task.cancel()
        return True

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback` with this call when it is over."""
        self._task.add_done_callback(partial(self._tell_done, callback))

    def _tell_done(self, callback: Callable[[Any], None], _task: object) -> None:
        if self._attempt is None or self._attempt.done():
            callback(self)
        else:
            self._attempt.add_done_callback(lambda _: callback(self))
