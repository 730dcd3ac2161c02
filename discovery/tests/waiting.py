"""Waiting for the thing itself, bounded."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[bool] | bool], within: float, what: str) -> float:
    """Wait until `condition` holds and return the seconds it took; fails after `within` seconds and says what was awaited."""
    began = time.monotonic()
    while True:
        holds = condition()
        if holds is True or (holds is not False and await holds):
            return time.monotonic() - began
        assert time.monotonic() - began < within, f"waited {within:.0f} s in vain: {what}"
        await asyncio.sleep(0.02)
