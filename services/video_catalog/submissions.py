"""Submitting videos: who owns an id, which date a video gets, and in which order its steps are written.

A claim settles who is first. It is looked at before the row, and taken back after the row is written: whoever finds no claim finds the row.
docs/decisions/0501.

All steps of a submit carry one timestamp, by Cassandra's clock and later than that of the row they replace. So of two submits the later one
wins in the row and in each list, tag and word, whatever the clocks of the instances say.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import randint
from time import monotonic
from typing import NamedTuple
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from common.caches import LOCK_BYTES, CacheSize, watch
from common.errors import Unavailable
from common.time_slices import in_slices
from common.timestamps import now
from grpc_discovery import AlreadyExists, ServiceError
from services.video_catalog.index_plan import (
    INSERT_BEGINNING,
    Step,
    steps_to_list,
    steps_to_write_pausing,
    text_of_pausing,
)
from services.video_catalog.index_queue import queue_step, queued_submit
from services.video_catalog.index_sweep import IndexSweep
from services.video_catalog.late_indexing import LateIndexing
from services.video_catalog.recently_written import RecentlyWritten
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.spellings import Spellings
from services.video_catalog.video import Submission, Video

MAX_UNRENEWED_SECONDS = 20.0
"""A claim that is older is renewed before the row is written: it lasts a minute, and no statement takes that long."""

PARTS, FEW_SUBMITS = 8, 2
"""While this process writes no more than so many videos, the hints of each are divided among several batches at once: that takes half as long as one
batch. With many under way it would only cost more messages."""

_MAX_TIES_US = 999
"""Two submits that replace the same row within a millisecond must not get the same timestamp: each column would be that of either."""

_MILLISECOND = timedelta(milliseconds=1)


class _Claimed(NamedTuple):
    """What was settled before a video is written: the date that it gets, and what the database holds of it.

    Also our claim (None: there is another's), when we began to claim (monotonic, in seconds) and what Cassandra's clock said then, and the
    timestamp of all that is to be written (both in microseconds since 1970).
    """

    added_date: datetime
    older: Video | None
    claim: UUID | None
    since: float
    began_us: int
    timestamp_us: int

    def clock_us(self) -> int:
        """What Cassandra's clock says now."""
        return self.began_us + round((monotonic() - self.since) * 1_000_000)


class Submissions:
    """Writes videos."""

    def __init__(self, videos: VideoCatalogRepository) -> None:
        self.videos = videos
        self._spellings = Spellings(videos)
        self._beginnings = RecentlyWritten("beginnings")
        self._late_indexing = LateIndexing(videos, self._spellings)
        self.sweep = IndexSweep(videos, self._late_indexing)
        self._last_added = datetime.min
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        watch("video_locks", self._turns, lambda locks: CacheSize.estimated(len(locks), LOCK_BYTES))

    async def submit(self, submission: Submission) -> None:
        """Write a video, or the new form of one that its user submitted before: it keeps its added_date, and so where it stands in each list.

        Raises AlreadyExists when another user's video has the id; then nothing was written.
        """
        # Submissions of one video take turns: each finds what the one before it left, and so removes what it does not hold itself.
        turn = self._turns.setdefault(submission.video_id, asyncio.Lock())
        async with turn:
            await self._submit(submission)

    async def restore(self, video_id: UUID) -> bool:
        """Write all that lists and finds a video again, from its row alone. False where there is none. Safe while the video is submitted.

        What is written here is as old as the row that it was made from, so a newer form of the video wins.
        """
        video, written_us = await self.videos.stored(video_id)
        if video is None:
            return False
        steps, found = steps_to_list(video)
        await self.videos.write_apart(steps, written_us)
        await self._spellings.write(found.shown_spellings | found.other_spellings)
        return True

    async def _submit(self, submission: Submission) -> None:
        analysis = asyncio.create_task(in_slices(text_of_pausing(submission)))  # while we wait for the claim
        try:
            claimed = await self._claimed(submission.video_id, submission.user_id)
        except BaseException:
            analysis.cancel()
            raise
        text = await analysis
        video = Video(**vars(submission), added_date=claimed.added_date)
        steps = await in_slices(steps_to_write_pausing(video, text, claimed.older))
        try:
            await self._write_before(steps.before, claimed.timestamp_us)
            await self._renew_if_old(video, claimed)
        except ServiceError:
            # Nothing shows the video yet, so nobody needs to wait for the claim's end.
            await self._release(video.video_id, claimed.claim)
            raise
        queued = queued_submit(video.video_id, claimed.clock_us(), claimed.timestamp_us)
        rest = self._late_indexing.rest(queued, claimed.timestamp_us, steps.late, text.found)
        has_rest = rest.steps or rest.spellings
        await self.videos.write_together(
            [*steps.together, queue_step(queued)] if has_rest else steps.together, claimed.timestamp_us
        )
        await self.videos.write_apart(steps.after, claimed.timestamp_us)
        await self._release(video.video_id, claimed.claim)
        if has_rest:
            self._late_indexing.add(rest)

    async def _write_before(self, steps: Sequence[Step], timestamp_us: int) -> None:
        """Write what goes before the row. Beginnings of suggested terms hardly ever are new, and were a seventh of it."""
        beginnings = {step[1][1] for step in steps if step[0] is INSERT_BEGINNING}
        new = set(self._beginnings.without(beginnings))
        needed = [step for step in steps if step[0] is not INSERT_BEGINNING or step[1][1] in new]
        parts = PARTS if len(self._turns) <= FEW_SUBMITS else 1
        await self.videos.write_apart(needed, timestamp_us, at_once=PARTS, parts=parts)
        self._beginnings.add(new)

    async def _claimed(self, video_id: UUID, user_id: UUID) -> _Claimed:
        """Claim an id for a user. Several that submit a new video at once get the same date. Raises AlreadyExists."""
        claim, added_date, since = uuid4(), self._next_added_date(), monotonic()
        outcome = await self.videos.claim(video_id, claim, user_id, added_date)
        mine = outcome.applied
        (older, written_us), now_us = await asyncio.gather(self.videos.stored(video_id), self.videos.now_us())
        owner = user_id
        if older:
            owner, added_date = older.user_id, older.added_date
        elif not mine:
            owner, added_date = outcome.current[0]["userid"], outcome.current[0]["added_date"]
        if owner != user_id:
            await self._release(video_id, claim if mine else None)
            raise AlreadyExists(f"A video with the id {video_id} was submitted by another user already")
        if not (older or mine):
            # The same user's claim, left by a crash or of a call under way. It may be about to end, so it becomes ours.
            mine = await self._took_over(video_id, outcome.current[0]["claim"], claim, user_id, added_date)
            if not mine:  # they have just finished, so there is a row now
                return await self._claimed(video_id, user_id)
        began_us = now_us - round((monotonic() - since) * 1_000_000)
        timestamp_us = max(now_us, written_us) + randint(1, _MAX_TIES_US)
        return _Claimed(added_date, older, claim if mine else None, since, began_us, timestamp_us)

    async def _renew_if_old(self, video: Video, claimed: _Claimed) -> None:
        """Make sure that nobody else can have claimed a new video meanwhile. Raises Unavailable if somebody may have."""
        if claimed.older is None and claimed.claim and monotonic() - claimed.since > MAX_UNRENEWED_SECONDS:
            claim = claimed.claim
            if not await self._took_over(video.video_id, claim, claim, video.user_id, video.added_date):
                raise Unavailable(f"Writing the video {video.video_id} took longer than its claim lasts")

    async def _took_over(self, video_id: UUID, former: UUID, claim: UUID, user_id: UUID, added_date: datetime) -> bool:
        return (await self.videos.take_over(video_id, former, claim, user_id, added_date)).applied

    async def _release(self, video_id: UUID, claim: UUID | None) -> None:
        if claim:
            with suppress(ServiceError):  # it ends by itself after a minute
                await self.videos.release(video_id, claim)

    def _next_added_date(self) -> datetime:
        """The present time, or the millisecond after the last one given out: no two videos of one process share theirs."""
        added_date = max(now(), self._last_added + _MILLISECOND)
        # A Timestamp without fractions of a second arrives without `nanos` at the web site, which then shows no list at all.
        self._last_added = added_date if added_date.microsecond else added_date + _MILLISECOND
        return self._last_added
