"""How long single steps hold the event loop, in CPU seconds of its thread."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Holds:
    """The longest step since `reset`, and what it was."""

    def __init__(self) -> None:
        self.longest, self.what = 0.0, ""

    def reset(self) -> None:
        """Forget what was measured."""
        self.longest, self.what = 0.0, ""

    def note(self, seconds: float, handle: Any) -> None:
        """Take one step into account."""
        if seconds > self.longest:
            task = getattr(handle._callback, "__self__", None)
            self.longest = seconds
            self.what = task.get_coro().__qualname__ if isinstance(task, asyncio.Task) else repr(handle._callback)


@contextmanager
def measured_holds() -> Iterator[Holds]:
    """Measure every step of asyncio's own event loops (not uvloop's) in this process, exactly: each is one `Handle._run`."""
    holds = Holds()
    run = asyncio.Handle._run  # type: ignore[attr-defined]  # where each step of a loop passes

    def measured(handle: Any) -> None:
        began = time.thread_time()
        run(handle)
        holds.note(time.thread_time() - began, handle)

    # What was there before is no garbage of a step: the collector need not look at it.
    gc.collect()
    gc.freeze()
    asyncio.Handle._run = measured  # type: ignore[attr-defined]
    try:
        yield holds
    finally:
        asyncio.Handle._run = run  # type: ignore[attr-defined]
        gc.unfreeze()
