"""Hints: rows that only lead to something, and may be missing or out of date. No call fails, or waits long, because one could not be written."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from common.database import DatabaseError
from grpc_discovery import ServiceError, start_shielded

MAX_WAIT_SECONDS = 0.5
"""While a node of Cassandra is lost, a hint may take ten seconds. Usually it takes some milliseconds, and the next call finds it."""

_log = logging.getLogger(__name__)


async def write_hints(*writes: Coroutine[Any, Any, None]) -> None:
    """Write hints side by side, and wait for them, for half a second at most; they are finished in any case.

    A failure is logged: what the hint is about is written, and a caller told of it might write that again.
    """
    await asyncio.wait([start_shielded(_write(write)) for write in writes], timeout=MAX_WAIT_SECONDS)


async def _write(write: Coroutine[Any, Any, None]) -> None:
    try:
        await write
    except (ServiceError, DatabaseError) as error:
        _log.warning("a hint was not written: %s", error)
