"""Finishing what is left of submits whose process did not: it was killed, had too much to do, or the database failed.

Every process sweeps. It looks at what was queued in the last seconds, at the days before when it has started, and once more at each minute
when that is ten minutes old: a batch that a node has only logged may come to the queue as late as that.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from common.database import DatabaseError
from common.time_slices import in_slices
from common.timestamps import from_ms
from grpc_discovery import ServiceError
from services.video_catalog.index_plan import late_steps_pausing
from services.video_catalog.index_queue import KEPT_FOR, MINUTE, QueuedSubmit, minute_of
from services.video_catalog.late_indexing import GROUP, LateIndexing, Rest
from services.video_catalog.repository import VideoCatalogRepository

DUE_AFTER = timedelta(seconds=4)
"""Whoever took a submit has done it by then, as a rule."""

LATE_BATCH = timedelta(seconds=20)
"""A batch is written at most so long after the time under which it is queued, while Cassandra's nodes answer."""

LOGGED_BATCH = timedelta(minutes=10)
"""Batches that a node has only logged are written by then (Cassandra replays them each minute)."""

MAX_SUBMITS = 200
"""Submits that one sweep finishes: a second's work for a database that has others to serve."""

MINUTES_AT_ONCE = 60
"""Minutes of the past that are read in one statement, most of them empty."""

BEHIND_SECONDS = 10
"""What follows a submit is promised within this time (docs/search-and-suggestions.md)."""

_PAUSE_SECONDS = (1.5, 2.5)

_log = logging.getLogger(__name__)


class IndexSweep:
    """Finishes what others left, a little at a time."""

    def __init__(self, repository: VideoCatalogRepository, late_indexing: LateIndexing) -> None:
        self._repository, self._late_indexing = repository, late_indexing
        self._past: _Past | None = None
        self._open_from = datetime.max
        self._behind = False
        self._reason = ""

    async def run(self) -> None:
        """Sweep every two seconds, without end. While the database is away, it waits for it."""
        while True:
            try:
                await self.sweep()
                self._reason = ""
            except (ServiceError, DatabaseError) as error:
                if str(error) != self._reason:
                    self._reason = str(error)
                    _log.warning("the index is not swept: %s", error)
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))

    async def sweep(self) -> None:
        """Finish what is due of the last seconds, and of a piece of the past. Raises what Database raises."""
        now = from_ms(await self._repository.now_us() // 1000)
        due = now - DUE_AFTER
        self._open_from = min(self._open_from, due - LATE_BATCH)
        recent = await self._repository.index_queue.between(self._open_from, due, MAX_SUBMITS)
        left = [submit.queued_at for submit in await self._finish(recent, now)]
        if len(recent) == MAX_SUBMITS:  # there may be more
            left.append(recent[-1].queued_at)
        self._open_from = min([due - LATE_BATCH, *left])
        self._tell_if_behind((now - min(left)).total_seconds() if left else 0.0)
        self._past = self._past or _Past(due)
        if minutes := self._past.next_minutes(due):
            found = await self._repository.index_queue.of_minutes(minutes, MAX_SUBMITS)
            await self._finish([submit for submit in found if submit.queued_at <= due], now)
            if len(found) < MAX_SUBMITS:
                self._past.advance(minutes)

    async def _finish(self, submits: Sequence[QueuedSubmit], now: datetime) -> list[QueuedSubmit]:
        """Finish submits, and return those that wait in this process: they are about to be finished."""
        waiting = [submit for submit in submits if self._late_indexing.has(submit)]
        others = list(set(submits).difference(waiting))
        random.shuffle(others)  # processes that sweep at once share the work
        for start in range(0, len(others), GROUP):
            rests = [await self._rest(submit, now) for submit in others[start : start + GROUP]]
            await self._late_indexing.finish([rest for rest in rests if rest])
        return waiting

    async def _rest(self, submit: QueuedSubmit, now: datetime) -> Rest | None:
        """What is left to do of a submit, from the video's row as it is now; None for nothing, or if another process has done it.

        What is written is as old as the row, so a later submit wins.
        """
        if not await self._repository.index_queue.holds(submit):
            return None
        video, written_us = await self._repository.stored(submit.video_id)
        if video is None:
            # Gone, or only logged: then its row comes later.
            is_gone = now - submit.queued_at > LOGGED_BATCH
            return Rest(submit, submit.written_us, (), ()) if is_gone else None
        steps, found = await in_slices(late_steps_pausing(video))
        return self._late_indexing.rest(submit, written_us, steps, found)

    def _tell_if_behind(self, seconds: float) -> None:
        behind = seconds > BEHIND_SECONDS
        if behind and not self._behind:
            _log.warning("the index is %.0f s behind: what follows submits is not written in time", seconds)
        elif self._behind and not behind:
            _log.info("the index is up to date again")
        self._behind = behind


class _Past:
    """Which minutes of the past a process has to look at: those of the last days, the newest first, then each that is ten minutes old."""

    def __init__(self, start: datetime) -> None:
        self._next_back = self._next_again = minute_of(start)
        self._end = self._next_back - KEPT_FOR

    def next_minutes(self, now: datetime) -> list[datetime]:
        """The next piece; empty if there is nothing to look at now."""
        if self._next_back >= self._end:
            return [self._next_back - MINUTE * number for number in range(MINUTES_AT_ONCE)]
        return [self._next_again] if now - self._next_again > LOGGED_BATCH + MINUTE else []

    def advance(self, minutes: Sequence[datetime]) -> None:
        """The piece is done."""
        if self._next_back >= self._end:
            self._next_back = minutes[-1] - MINUTE
        else:
            self._next_again += MINUTE
