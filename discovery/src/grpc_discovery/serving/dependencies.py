"""What a service needs to serve, such as a database: waited for at the start, and followed for as long as the service runs."""

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from grpc_discovery.tasks import cancel_and_wait

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
        ...

    async def alive(self) -> bool:
        """Whether it can be used now. Asked twice a second; an answer that takes more than two seconds counts as no."""
        ...


class Follower:
    """Asks one dependency. Whatever it raises is logged, once for each reason in a row, and it is asked again."""

    def __init__(self, dependency: Dependency) -> None:
        self.name, self.dependency = dependency.name, dependency
        self.is_alive = False
        """Whether it could be used when it was asked last, or the time before."""
        self._missed = 0
        # What was told of by `on_change`; None if that failed, so that it is told again.
        self._told: bool | None = None
        self._reason = ""
        self._question: asyncio.Task[bool] | None = None

    async def wait_ready(self) -> None:
        """Return when the dependency is ready."""
        while True:
            # In a task of its own, also below: a library that cancels what it waits for must not end the one who asks.
            task = asyncio.create_task(_begun(self.dependency.ready), name=f"wait for {self.name}")
            try:
                await asyncio.wait([task])
            finally:
                # Its end is waited for: nothing may run beside close().
                await cancel_and_wait([task])
            reason = _reason(task)
            if reason is None:
                self.is_alive, self._told, self._reason = True, True, ""
                return
            self._log_once("waiting for %s: %s", reason)
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))

    async def follow(self, on_change: Callable[["Follower"], Awaitable[None]]) -> None:
        """Ask without end, and call `on_change` when `is_alive` has changed."""
        while True:
            self._missed = 0 if await self._ask() else self._missed + 1
            alive = self._missed == 0 or (self._missed <= _MAX_MISSED and self.is_alive)
            if alive != self._told:
                self.is_alive, self._told = alive, None
                await on_change(self)
                self._told = alive
            await asyncio.sleep(_ASK_EVERY_SECONDS)

    async def _ask(self) -> bool:
        # A question that is still open, although it was cancelled, is not asked a second time.
        question = self._question or asyncio.create_task(_begun(self.dependency.alive), name=f"ask {self.name}")
        self._question = question
        try:
            _, late = await asyncio.wait([question], timeout=_ALIVE_SECONDS)
        finally:
            question.cancel()
        if late:
            return False
        self._question = None
        reason = _reason(question)
        if reason is not None:
            self._log_once("%s cannot be asked: %s", reason)
            return False
        self._reason = ""
        return bool(question.result())

    def _log_once(self, text: str, reason: str) -> None:
        if reason != self._reason:
            self._reason = reason
            _log.warning(text, self.name, reason)

    async def close(self) -> None:
        """Close the dependency, if it can be closed."""
        close = getattr(self.dependency, "close", None)
        if close is None:
            return
        try:
            closing = close()
            if inspect.isawaitable(closing):
                await closing
        except Exception:
            # It must not keep the rest from being stopped in order.
            _log.exception("closing %s failed", self.name)


async def _begun(ask: Callable[[], Awaitable[Any]]) -> Any:
    """The answer; also what a plain function raises comes up here, in the task."""
    return await ask()


def _reason(task: "asyncio.Task[Any]") -> str | None:
    """Why a task that has ended has no result; None if it has one."""
    if task.cancelled():
        return "it was cancelled"
    error = task.exception()
    return None if error is None else f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
