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
            self.longest, self.what = seconds, _name(handle._callback)


def _name(callback: Any) -> str:
    task: Any = getattr(callback, "__self__", None)
    return repr(task.get_coro() if isinstance(task, asyncio.Task) else callback)


@contextmanager
def measured_holds() -> Iterator[Holds]:
    """Measure every step of asyncio's own event loops (not uvloop's) in this process, exactly: each is one `Handle._run`."""
    holds = Holds()
    kind: Any = asyncio.Handle
    run = kind._run  # each step of a loop passes here

    def measured(handle: Any) -> None:
        began = time.thread_time()
        run(handle)
        holds.note(time.thread_time() - began, handle)

    # What was there before is no garbage of a step: the collector need not look at it.
    gc.collect()
    gc.freeze()
    kind._run = measured
    try:
        yield holds
    finally:
        kind._run = run
        gc.unfreeze()
