"""Watches how long single steps hold the event loop: meanwhile no other call of the process goes on.

A timer ticks every 20 ms. A tick that comes late says that the loop was held, and the CPU time of the loop's thread since the tick before
says whether by work of its own: little of it means a blocking call, another thread that holds the interpreter, or a machine that had no time.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Self

TICK_SECONDS = 0.02
REST_AFTER_TICKS = 50
LOGGED_LAG_SECONDS = 0.1
LOG_EVERY_SECONDS = 5.0
WINDOW_SECONDS = 30.0

_log = logging.getLogger(__name__)


class LoopMonitor:
    """Ticks in the event loop in which its block was entered, until the block is left.

    It rests, so that an idle process is not woken fifty times a second, when `is_idle` has said so for a second; `rouse` wakes it.
    """

    def __init__(self, tick_seconds: float = TICK_SECONDS, is_idle: Callable[[], bool] = lambda: False) -> None:
        self.longest_hold = 0.0
        """Seconds of CPU time that no step of the loop took more of: the most between two ticks, so at worst one tick too many."""
        self.longest_lag = 0.0
        """By how many seconds the latest tick was late, whatever the reason."""
        self._tick_seconds, self._is_idle = tick_seconds, is_idle
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._cpu = 0.0
        # The longest hold of the window that lasts, and of the one before.
        self._holds, self._window_began = (0.0, 0.0), 0.0
        self._idle_ticks = self._left_out = 0
        self._last_log = -inf

    def __enter__(self) -> Self:
        """Begin to tick. Raises RuntimeError where no loop runs."""
        self._loop = asyncio.get_running_loop()
        self.rouse()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Tick no more; what was measured stays."""
        if self._loop and self._timer:
            self._note(self._loop.time())
            self._timer.cancel()
        self._loop = self._timer = None

    def rouse(self) -> None:
        """Tick again after a rest, from now on. For the beginning of work; it costs next to nothing while the monitor ticks."""
        if self._timer is None and self._loop:
            self._idle_ticks = 0
            self._cpu = time.thread_time()
            self._schedule(self._loop)

    @property
    def recent_hold(self) -> float:
        """The longest hold, in seconds of CPU time, within the last 30 to 60 seconds."""
        self._turn_window(time.monotonic())
        return max(self._holds)

    def reset(self) -> None:
        """Forget what was measured: for one who asks what has happened since the last time."""
        self.longest_hold = self.longest_lag = 0.0

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + self._tick_seconds
        self._timer = loop.call_at(self._due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._note(loop.time())
        self._idle_ticks = self._idle_ticks + 1 if self._is_idle() else 0
        if self._idle_ticks < REST_AFTER_TICKS:
            self._schedule(loop)
        else:
            self._timer = None

    def _note(self, now: float) -> None:
        cpu = time.thread_time()
        hold, lag = cpu - self._cpu, now - self._due
        self._cpu = cpu
        self.longest_hold = max(self.longest_hold, hold)
        self._turn_window(time.monotonic())
        self._holds = (max(self._holds[0], hold), self._holds[1])
        self.longest_lag = max(self.longest_lag, lag)
        if lag > LOGGED_LAG_SECONDS:
            self._log(now, hold, lag)

    def _turn_window(self, now: float) -> None:
        over = now - self._window_began
        if over >= WINDOW_SECONDS:
            self._holds = (0.0, self._holds[0] if over < 2 * WINDOW_SECONDS else 0.0)
            self._window_began = now

    def _log(self, now: float, hold: float, lag: float) -> None:
        """One line for many: what holds the loop once mostly does it again."""
        if now - self._last_log < LOG_EVERY_SECONDS:
            self._left_out += 1
            return
        text = (
            "the event loop was held for %.0f ms, %.0f ms of it CPU time of its own; %d more since the last such line"
        )
        _log.warning(text, lag * 1000, hold * 1000, self._left_out)
        self._left_out, self._last_log = 0, now
