"""What people rated, kept in memory for a minute: the people whose ratings speak for one list mostly speak for the next one too."""

import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from common.time_slices import checkpoint
from services.suggested_videos.ranking import History, value_of
from services.suggested_videos.repository import RatingRow

MAX_RATINGS = 400
"""Newest ratings of a person that count."""

MAX_BYTES = 40_000_000
"""What all histories in memory may take, by the two estimates below, which are measured and rather too high."""

_PERSON_BYTES, _RATING_BYTES = 900, 60
_MAX_NUMBERS = 100_000
_SECONDS = 60.0
_ROWS_AT_ONCE = 256


class RatingSource(Protocol):
    """Where histories are read."""

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> Sequence[RatingRow]:
        """The newest `limit` ratings of each person, newest first."""
        ...


class _Held(NamedTuple):
    until: float
    history: History

    @property
    def size(self) -> int:
        """About how many bytes it takes; a person who rated nothing takes some too."""
        return _PERSON_BYTES + _RATING_BYTES * len(self.history.videos)


class Histories:
    """A bounded cache of histories. Ids of videos are held as numbers, each once: a UUID object is five times as large and slow to compare."""

    def __init__(self, source: RatingSource, max_bytes: int = MAX_BYTES) -> None:
        self._source, self._max_bytes = source, max_bytes
        self._held: OrderedDict[UUID, _Held] = OrderedDict()
        self._numbers: dict[int, int] = {}
        self._bytes = 0

    async def of(self, user_ids: Sequence[UUID]) -> list[History]:
        """The histories of people, in their order, empty ones for those who rated nothing."""
        now = time.monotonic()
        found = {
            user_id: held.history
            for user_id in user_ids
            if (held := self._held.get(user_id)) is not None and held.until > now
        }
        missing = [user_id for user_id in user_ids if user_id not in found]
        if missing:
            found |= await self._hold(missing, await self._source.rated_by_each(missing, MAX_RATINGS), now + _SECONDS)
        for user_id in user_ids:
            if user_id in self._held:
                self._held.move_to_end(user_id)
        return [found[user_id] for user_id in user_ids]

    def forget(self, user_id: UUID) -> None:
        """Read a person's history again the next time."""
        held = self._held.pop(user_id, None)
        if held:
            self._bytes -= held.size

    async def _hold(self, user_ids: Collection[UUID], rows: Sequence[RatingRow], until: float) -> dict[UUID, History]:
        histories: dict[UUID, dict[int, float]] = {user_id: {} for user_id in user_ids}
        if len(self._numbers) > _MAX_NUMBERS:
            self._numbers.clear()
        for index, row in enumerate(rows):
            if index % _ROWS_AT_ONCE == 0:
                await checkpoint()
            if row.user_id is not None and row.rating is not None:
                number = self._numbers.setdefault(row.video_id.int, row.video_id.int)
                # Newest first: of a video that was rated again the newest rating stays.
                histories[row.user_id].setdefault(number, value_of(row.rating))
        made = {user_id: History(tuple(values), tuple(values.values())) for user_id, values in histories.items()}
        for user_id, history in made.items():
            self.forget(user_id)
            self._held[user_id] = _Held(until, history)
            self._bytes += self._held[user_id].size
        while self._bytes > self._max_bytes:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.size
        return made
