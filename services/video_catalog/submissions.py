"""Submitting videos: who owns an id, which date a video gets, and in which order its steps are written.

A claim settles who is first. It is looked at before the row, and taken back after the row is written: whoever finds no claim finds the row.
docs/decisions/0501.
"""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from common.timestamps import now
from grpc_discovery import AlreadyExists, ServiceError
from services.video_catalog.index_plan import steps_to_list, steps_to_write
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.spellings import Spellings
from services.video_catalog.video import Submission, Video

_MILLISECOND = timedelta(milliseconds=1)


class _Claimed(NamedTuple):
    """The date that a video gets, our claim that is to be taken back (None: somebody else's), and what the database holds of the video."""

    added_date: datetime
    claim: UUID | None
    older: Video | None


class Submissions:
    """Writes videos."""

    def __init__(self, videos: VideoCatalogRepository) -> None:
        self.videos = videos
        self._spellings = Spellings(videos)
        self._last_added = datetime.min
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def submit(self, submission: Submission) -> None:
        """Write a video, or the new form of one that its user submitted before: it keeps its added_date, and so where it stands in each list.

        Raises AlreadyExists when another user's video has the id; then nothing was written.
        """
        # Submissions of one video take turns: each finds what the one before it left, and so removes what it does not hold itself.
        turn = self._turns.setdefault(submission.video_id, asyncio.Lock())
        async with turn:
            await self._submit(submission)

    async def restore(self, video_id: UUID) -> bool:
        """Write all that lists and finds a video again, from its row alone. False where there is none. Safe while the video is submitted."""
        older: Video | None = None
        while True:
            video = await self.videos.video(video_id)
            if video is None or video == older:
                # Whatever is submitted from now on is written after what was written here, and wins.
                return video is not None
            steps, found = steps_to_list(video, older)
            await self.videos.write_apart(steps)
            await self._spellings.add(found.shown_spellings)
            await self._spellings.add(found.other_spellings)
            older = video

    async def _submit(self, submission: Submission) -> None:
        added_date, claim, older = await self._claimed(submission.video_id, submission.user_id)
        video = Video(**vars(submission), added_date=added_date)
        steps, found = steps_to_write(video, older)
        await asyncio.gather(self.videos.write_apart(steps.before), self._spellings.add_some(found.shown_spellings))
        await self.videos.write_together(steps.together)
        await self.videos.write_apart(steps.after)
        if claim:
            with suppress(ServiceError):  # the video stands; a claim ends by itself after a minute
                await self.videos.release(submission.video_id, claim)
        self._spellings.add_in_background(found.other_spellings)

    async def _claimed(self, video_id: UUID, user_id: UUID) -> _Claimed:
        """Claim an id for a user. Several that submit a new video at once get the same date. Raises AlreadyExists."""
        claim, proposed = uuid4(), self._next_added_date()
        outcome = await self.videos.claim(video_id, claim, user_id, proposed)
        mine = claim if outcome.applied else None
        older = await self.videos.video(video_id, decides=True)
        owner, added_date = user_id, proposed
        if older:
            owner, added_date = older.user_id, older.added_date
        elif not mine:
            owner, added_date = outcome.current[0]["userid"], outcome.current[0]["added_date"]
        if owner != user_id:
            if mine:
                await self.videos.release(video_id, mine)
            raise AlreadyExists(f"A video with the id {video_id} was submitted by another user already")
        return _Claimed(added_date, mine, older)

    def _next_added_date(self) -> datetime:
        """The present time, or the millisecond after the last one given out: no two videos of one process share theirs."""
        added_date = max(now(), self._last_added + _MILLISECOND)
        # A Timestamp without fractions of a second arrives without `nanos` at the web site, which then shows no list at all.
        self._last_added = added_date if added_date.microsecond else added_date + _MILLISECOND
        return self._last_added
