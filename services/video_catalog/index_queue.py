"""What submits have left to do for the index: a row for each, by the minute in which it was queued.

The row is part of the submit's logged batch, so whatever happens to the process, the work is known (docs/decisions/0502). Rows are sorted by
time, and readers begin where all before is done: they pass few tombstones. All times are Cassandra's.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from common.database import Database, Select, Write
from common.timestamps import from_ms
from services.video_catalog.index_plan import Step

KEPT_FOR = timedelta(days=3)
"""How long a row waits if no process takes it: the table's default_time_to_live. Long enough for a service that is down over a weekend."""

MINUTE = timedelta(minutes=1)


class QueuedSubmit(NamedTuple):
    """A submit that has something left to do: the key of its row, and the timestamp of its steps in microseconds since 1970."""

    minute: datetime
    queued_at: datetime
    video_id: UUID
    written_us: int


ENQUEUE = Write("INSERT INTO index_queue (minute, queued_at, videoid, written_us) VALUES (?, ?, ?, ?)")
# Beside others in one batch, each with its own timestamp: that of the row, so that only this row is removed, and later writes stay.
DEQUEUE = Write("DELETE FROM index_queue USING TIMESTAMP ? WHERE minute = ? AND queued_at = ? AND videoid = ?")
_QUEUED = "SELECT minute, queued_at, videoid, written_us FROM index_queue"
OF_MINUTE = Select(f"{_QUEUED} WHERE minute = ? AND queued_at >= ? AND queued_at <= ? LIMIT ?", QueuedSubmit)
OF_MINUTES = Select(f"{_QUEUED} WHERE minute IN ? LIMIT ?", QueuedSubmit)
ONE = Select(f"{_QUEUED} WHERE minute = ? AND queued_at = ? AND videoid = ?", QueuedSubmit)

STATEMENTS = (ENQUEUE, DEQUEUE, OF_MINUTE, OF_MINUTES, ONE)


def queued_submit(video_id: UUID, at_us: int, written_us: int) -> QueuedSubmit:
    """A submit of a video that is queued at `at_us`, and whose steps are written as of `written_us` (both in microseconds since 1970)."""
    queued_at = from_ms(at_us // 1000)
    return QueuedSubmit(minute_of(queued_at), queued_at, video_id, written_us)


def minute_of(timestamp: datetime) -> datetime:
    """The partition of a timestamp."""
    return timestamp.replace(second=0, microsecond=0)


def queue_step(submit: QueuedSubmit) -> Step:
    """The step that queues a submit, for its batch."""
    return ENQUEUE, tuple(submit)


class IndexQueue:
    """Reads the queue, and takes from it what is done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def between(self, first: datetime, last: datetime, limit: int) -> list[QueuedSubmit]:
        """Up to `limit` submits that were queued from `first` to `last` (inclusive), the oldest first."""
        found: list[QueuedSubmit] = []
        minute = minute_of(first)
        while minute <= last and len(found) < limit:
            found += await self._database.select(OF_MINUTE, minute, first, last, limit - len(found))
            minute += MINUTE
        return found

    async def of_minutes(self, minutes: Sequence[datetime], limit: int) -> list[QueuedSubmit]:
        """Up to `limit` submits of some minutes."""
        return await self._database.select(OF_MINUTES, list(minutes), limit)

    async def holds(self, submit: QueuedSubmit) -> bool:
        """Whether nobody has taken a submit from the queue yet."""
        return await self._database.select_one(ONE, *submit[:3]) is not None

    async def remove(self, submits: Iterable[QueuedSubmit]) -> None:
        """Take submits that are done from the queue."""
        steps = [(DEQUEUE, (each.written_us, *each[:3])) for each in submits]
        if steps:
            await self._database.batch_unlogged(steps)
