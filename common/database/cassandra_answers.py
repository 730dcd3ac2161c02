"""Answers of cassandra-driver, which come in a thread of its own, for whoever awaits them on the event loop."""

import asyncio
from collections import deque
from typing import Any


class Answers:
    """Carries answers from the driver's thread to the event loop, waking it once for all that wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._woken = False

    async def of(self, response: Any) -> Any:
        """The rows of a driver's response, or its error raised."""
        future: asyncio.Future[Any] = self._loop.create_future()
        response.add_callbacks(
            callback=self._deliver, callback_args=(future, None), errback=self._fail, errback_args=(future,)
        )
        return await future

    def _deliver(self, rows: Any, future: asyncio.Future[Any], error: BaseException | None) -> None:
        self._waiting.append((future, rows, error))
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                pass  # the loop has closed: nobody waits any more

    def _fail(self, error: BaseException, future: asyncio.Future[Any]) -> None:
        self._deliver(None, future, error)

    def _wake(self) -> None:
        self._woken = False  # before looking, so that an answer arriving now wakes the loop again
        while self._waiting:
            future, rows, error = self._waiting.popleft()
            if future.done():
                continue  # its task was cancelled
            if error is None:
                future.set_result(rows)
            else:
                future.set_exception(error)
