"""A database whose process is killed, or whose answers get lost, at a moment that a test chooses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from common.database import Database
from common.errors import Unavailable


class Killed(BaseException):
    """The process is gone: nothing catches this, and nothing is done after it."""


class KilledAt:
    """Passes everything on to `database`, until the process is killed before (or right after) its write number `number`, from 0."""

    def __init__(self, database: Database, number: int, after: bool) -> None:
        self._database, self._number, self._after = database, number, after
        self._writes = 0
        self._sent: set[asyncio.Future[Any]] = set()
        self.killed = asyncio.Event()

    async def settled(self) -> None:
        """Wait until the database has done what was sent before the kill, within ten seconds."""
        await asyncio.wait_for(self.killed.wait(), 10)
        if self._sent:
            _, late = await asyncio.wait(self._sent, timeout=10)
            assert not late

    async def _send(self, call: Awaitable[Any]) -> Any:
        sent = asyncio.ensure_future(call)
        self._sent.add(sent)
        sent.add_done_callback(self._sent.discard)
        return await asyncio.shield(sent)  # who sent it may be gone before it is done

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._database, name)

        async def step(*values: Any, **named: Any) -> Any:
            if self.killed.is_set():
                raise Killed
            if name.startswith("select"):
                return await method(*values, **named)
            number, self._writes = self._writes, self._writes + 1
            if number != self._number:
                return await self._send(method(*values, **named))
            if self._after:
                await self._send(method(*values, **named))
            self.killed.set()
            raise Killed

        return step


class AnswersLost:
    """Passes everything on to `database`, but loses the answers of the first `number` conditional batches: applied, and nobody knows."""

    def __init__(self, database: Database, number: int) -> None:
        self._database, self._left = database, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def batch_if(self, steps: Any) -> Any:
        outcome = await self._database.batch_if(steps)
        if self._left:
            self._left -= 1
            raise Unavailable("the answer was lost")
        return outcome
