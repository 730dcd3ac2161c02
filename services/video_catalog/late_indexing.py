"""What of the index is written after a submit is answered: spellings, and the words beyond the beginning of a description.

Each such submit is in the queue (index_queue.py) until this is done. What this process cannot take, or does not finish, stays there, and the
sweep of any process does it (index_sweep.py): nothing is lost, it comes later.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import NamedTuple

from common.caches import CacheSize, watch
from grpc_discovery import start_shielded
from language.word_index import Analysis
from services.video_catalog.index_plan import Step
from services.video_catalog.index_queue import QueuedSubmit
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.spellings import Spellings

MAX_WAITING_STEPS = 40_000
"""Steps of words that wait in this process: about 10 MB. The longest description has 2,000."""

MAX_WAITING = 1_000
"""Submits that wait in this process: with 400 words to spell each, 30 MB."""

_STEP_BYTES, _WORD_BYTES = 250, 75

GROUP = 32
"""Submits that are finished together: what they have in common is written once, and in fewer messages."""

PAUSE_SECONDS = 0.2
"""The first submit waits for others as long, so that a group is more than one."""

_log = logging.getLogger(__name__)


class Rest(NamedTuple):
    """What is left to do of a submit: steps that are written as of `timestamp_us` (microseconds since 1970), and words to spell."""

    submit: QueuedSubmit
    timestamp_us: int
    steps: Sequence[Step]
    spellings: Collection[str]


class LateIndexing:
    """Finishes submits in the background, some at a time. A stopping process waits for it, as for all shielded work."""

    def __init__(self, repository: VideoCatalogRepository, spellings: Spellings) -> None:
        self._repository, self._spellings = repository, spellings
        self._waiting: dict[QueuedSubmit, Rest] = {}
        self._waiting_steps = 0
        self._worker: asyncio.Task[None] | None = None
        watch("late_indexing", self, LateIndexing.size)

    def rest(self, submit: QueuedSubmit, timestamp_us: int, steps: Sequence[Step], found: Analysis) -> Rest:
        """What is left to do of a submit with the words that were `found` and the `steps` that were put off."""
        return Rest(submit, timestamp_us, steps, self._spellings.missing(found))

    def add(self, rest: Rest) -> None:
        """Finish a submit soon. While too many wait, it is left to the sweep."""
        if len(self._waiting) >= MAX_WAITING or self._waiting_steps + len(rest.steps) > MAX_WAITING_STEPS:
            return
        self._waiting[rest.submit] = rest
        self._waiting_steps += len(rest.steps)
        if self._worker is None or self._worker.done():
            self._worker = start_shielded(self._work())

    def has(self, submit: QueuedSubmit) -> bool:
        """Whether a submit waits here, or is being finished."""
        return submit in self._waiting

    def size(self) -> CacheSize:
        """How many submits wait here, and about how many bytes they take."""
        words = sum(len(rest.spellings) for rest in self._waiting.values())
        return CacheSize(len(self._waiting), _STEP_BYTES * self._waiting_steps + _WORD_BYTES * words)

    async def finish(self, rests: Sequence[Rest]) -> None:
        """Write what is left of some submits, one message at a time, and take them from the queue. Raises what Database raises."""
        for rest in rests:
            await self._repository.write_apart(rest.steps, rest.timestamp_us, at_once=1)
        await self._spellings.write(word for rest in rests for word in rest.spellings)
        await self._repository.index_queue.remove(rest.submit for rest in rests)

    async def _work(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        while self._waiting:
            group = list(self._waiting.values())[:GROUP]
            try:
                await self.finish(group)
            except Exception as error:  # the sweep tries again, and says when it is behind
                _log.warning("%d submits are left to the sweep of the index: %s", len(group), error)
            for rest in group:
                del self._waiting[rest.submit]
                self._waiting_steps -= len(rest.steps)
