"""What a service needs to serve, such as a database: waited for at the start, and followed for as long as the service runs."""

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from grpc_discovery import tallies

_ASK_EVERY_SECONDS = 0.5
_ALIVE_SECONDS = 2.0
_PAUSE_SECONDS = (0.3, 1.0)
# One answer may get lost; with the second the dependency counts as away.
_MAX_MISSED = 1

_log = logging.getLogger(__name__)


class Dependency(Protocol):
    """Something that a service cannot do without. If it also has a method `close()`, that is called when the server has stopped."""

    name: str
    """Its name in log lines."""

    async def ready(self) -> None:
        """Return when it can be used. It may wait without end, and be called again after it has raised."""

    async def alive(self) -> bool:
        """Whether it can be used now. Asked twice a second; an answer that takes more than two seconds counts as no."""
        ...


class Follower:
    """Asks one dependency. Whatever it raises is logged, once for each reason in a row, and it is asked again."""

    def __init__(self, dependency: Dependency) -> None:
        self.name, self.dependency = dependency.name, dependency
        self.is_alive = False
        """Whether it could be used when it was asked last, or the time before."""
        # What was last told of; None if that failed, so that it is told again.
        self._told: bool | None = None
        tallies.LIVING.add(self)
        self._missed = 0
        self._reason = ""
        self._probe: asyncio.Task[bool] | None = None

    async def wait_ready(self) -> None:
        """Return when the dependency is ready."""
        try:
            while not await self._ask(self._is_ready, None, "waiting for %s: %s"):  # noqa: ASYNC110  it is asked
                await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))
        finally:
            # It was cancelled, and its end is waited for: nothing may run beside close().
            if self._probe:
                await asyncio.wait([self._probe])
        self.is_alive = self._told = True

    async def follow(self, on_change: Callable[["Follower"], Awaitable[None]]) -> None:
        """Ask without end, and call `on_change` when `is_alive` has changed; again if that failed."""
        while True:
            answered = await self._ask(self.dependency.alive, _ALIVE_SECONDS, "%s cannot be asked: %s")
            self._missed = 0 if answered else self._missed + 1
            alive = answered or (self.is_alive and self._missed <= _MAX_MISSED)
            if alive != self._told:
                self.is_alive, self._told = alive, None
                await on_change(self)
                self._told = alive
            await asyncio.sleep(_ASK_EVERY_SECONDS)

    async def close(self) -> None:
        """Close the dependency, if it can be closed."""
        try:
            closing = getattr(self.dependency, "close", lambda: None)()
            if inspect.isawaitable(closing):
                await closing
        except Exception:
            # It must not keep the rest from being stopped in order.
            _log.exception("closing %s failed", self.name)

    async def _is_ready(self) -> bool:
        await self.dependency.ready()
        return True

    async def _ask(self, ask: Callable[[], Awaitable[bool]], seconds: float | None, complaint: str) -> bool:
        """The answer; False after so many seconds, and for whatever comes instead of one."""

        async def begun() -> bool:
            return bool(await ask())  # what a plain function raises comes up in the task, too

        # In a task of its own: a library that cancels what it waits for must not end the one who asks. A probe that is still open, although
        # it was cancelled, is not asked a second time.
        probe = self._probe = self._probe or asyncio.create_task(begun(), name=f"ask {self.name}")
        try:
            _, late = await asyncio.wait([probe], timeout=seconds)
        finally:
            probe.cancel()
        if late:
            return False
        self._probe = None
        if (reason := _reason(probe)) is None:
            self._reason = ""
            return probe.result()
        if reason != self._reason:
            self._reason = reason
            _log.warning(complaint, self.name, reason)
        return False


def _reason(task: asyncio.Task[Any]) -> str | None:
    """Why a task that has ended has no result; None if it has one."""
    if task.cancelled():
        return "it was cancelled"
    error = task.exception()
    return error and f"{type(error).__name__}: {error}".removesuffix(": ")  # type: ignore[return-value]
