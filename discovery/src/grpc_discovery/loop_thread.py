"""An event loop in a thread of its own, for programs without asyncio."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines in its thread and waits for them; many threads may share it. It belongs to one process: a forked child has no such thread."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @classmethod
    def begun_with(cls, name: str, work: Callable[[], Awaitable[Result]]) -> tuple[Self, Result]:
        """A thread and what `work` has returned in it; one that fails leaves no thread."""
        thread = cls(name)
        try:
            return thread, thread.run(work)
        except BaseException:
            thread.close()
            raise

    def end_with(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` and end the thread, also when that fails."""
        try:
            self.run(work)
        finally:
            self.close()

    def run(self, work: Callable[[], Awaitable[Result]], timeout: float | None = None) -> Result:
        """Await what `work` returns, in the thread, and return its result. An interrupt (Ctrl-C) cancels it.

        `timeout` is in seconds. Raises what the work raises, TimeoutError, and RuntimeError in a process that was forked meanwhile.
        """
        refuse_after_fork(self._process)

        async def inside() -> Result:
            return await work()

        future = asyncio.run_coroutine_threadsafe(inside(), self.loop)
        try:
            return future.result(timeout)
        finally:
            future.cancel()  # which does nothing to one that has ended

    def close(self) -> None:
        """End the thread. What is still under way there, such as calls that were cut off, has a second to end."""

        async def finish() -> None:
            if others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others, timeout=1.0)

        self.run(finish)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def refuse_after_fork(process: int) -> None:
    """Raise RuntimeError in another process than `process`, one that was forked from it: gRPC's calls would hang there for ever."""
    if os.getpid() != process:
        advice = "open it after the fork, or start processes by `spawn`"
        raise RuntimeError(
            f"this was opened in another process ({process}), and gRPC does not work after a fork: {advice}"
        )
