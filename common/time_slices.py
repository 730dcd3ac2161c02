"""Long computations in slices: between two of them the event loop goes on with everything else.

    for row in rows:
        await checkpoint()
        found.append(judge(row))

What is computed without asyncio is written as a generator that yields where it may pause: `await in_slices(work())`, or `at_once(work())`.

A thread would not do: it takes the interpreter from the loop for as long, and at times of its own choosing.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar
from weakref import WeakKeyDictionary

SLICE_SECONDS = 0.005

Result = TypeVar("Result")
Pausing = Generator[None, None, Result]
"""A computation that yields where it may pause, and returns its result."""


async def checkpoint() -> None:
    """Let other work go on if long computations have used up their slice of this round of the loop; else return at once.

    However many calls compute at once, each round of the loop has one slice: they take turns.
    """
    turns = _turns.get(loop := asyncio.get_running_loop())
    if turns is None:
        turns = _turns[loop] = _Turns(loop)
    if turns.slice_is_used_up():
        await turns.next()


async def in_slices(work: Pausing[Result]) -> Result:
    """The result of a computation, with a checkpoint wherever it may pause."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        await checkpoint()


def at_once(work: Pausing[Result]) -> Result:
    """The result of a computation, made in one go: for commands, where nothing else waits."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class _Turns:
    """Who computes in which round of a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slice_ends: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def slice_is_used_up(self) -> bool:
        """Whether the slice of this round is over; the first who asks in a round begins it."""
        if self._slice_ends is None:
            self._begin()
            return False
        return perf_counter() > self._slice_ends

    async def next(self) -> None:
        """Wait for a round in which it is the caller's turn, and begin its slice."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        await turn
        self._slice_ends = perf_counter() + SLICE_SECONDS

    def _begin(self) -> None:
        self._slice_ends = perf_counter() + SLICE_SECONDS
        self._loop.call_soon(self._end_round)

    def _end_round(self) -> None:
        """Let the next one compute, who wakes in the round to come."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._begin()
                return
        self._slice_ends = None


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()
