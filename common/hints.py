"""Hints: rows that only lead to something, and may be missing or out of date. No call fails because one could not be written."""

import logging
from collections.abc import Awaitable

from common.database import DatabaseError
from grpc_discovery import ServiceError

_log = logging.getLogger(__name__)


async def write_hint(write: Awaitable[None]) -> None:
    """Wait for the write of a hint. A failure is logged: what the hint is about is written, and a caller told of it might write that again."""
    try:
        await write
    except (ServiceError, DatabaseError) as error:
        _log.warning("a hint was not written: %s", error)
