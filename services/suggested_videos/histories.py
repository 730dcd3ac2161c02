"""What people rated and who likes a video, kept in memory: the people whose ratings speak for one list mostly speak for the next one too."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from common.caches import CacheSize, watch
from common.time_slices import checkpoint
from services.suggested_videos.held import Held
from services.suggested_videos.ranking import LIKED, History, value_of
from services.suggested_videos.rows import RatingRow

MAX_RATINGS = 800
"""Newest ratings of a person that count."""

MAX_BYTES = 40_000_000
"""What all histories in memory may take, by the estimates below, which are measured and rather too high."""

MAX_LIKER_BYTES = 5_000_000
"""The same of who likes videos."""

_PERSON_BYTES, _RATING_BYTES = 900, 60
_VIDEO_BYTES, _LIKER_BYTES = 500, 120
_MAX_NUMBERS = 100_000
_NUMBER_BYTES = 150

# What hardly changes by a few ratings is held longer; who likes a video that few have rated is read each time.
_SECONDS, _LONG_SECONDS = 60.0, 600.0
_LONG_HISTORY, _MANY_RATINGS = 20, 100
_ROWS_AT_ONCE = 256


class RatingSource(Protocol):
    """Where ratings are read."""

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> Sequence[RatingRow]:
        """The newest `limit` ratings of each person, newest first."""
        ...


class LikerSource(Protocol):
    """Where it is read who rated a video."""

    async def ratings_of(self, video_ids: Collection[UUID], limit: int) -> Sequence[RatingRow]:
        """Up to `limit` ratings of each video, of the people with the lowest ids."""
        ...


class Histories:
    """A bounded cache of histories. Ids of videos are held as numbers, each once: a UUID object is five times as large and slow to compare."""

    def __init__(self, source: RatingSource, max_bytes: int = MAX_BYTES) -> None:
        self._source = source
        self._held: Held[History] = Held("histories", max_bytes)
        self._numbers: dict[int, int] = {}
        watch("history_videos", self, lambda histories: CacheSize.estimated(len(histories._numbers), _NUMBER_BYTES))

    async def of(self, user_ids: Sequence[UUID], max_read: int) -> list[History]:
        """The histories of people, in their order, empty ones for those who rated nothing; of those that are not in memory the first `max_read`."""
        found = self._held.known(user_ids)
        missing = [user_id for user_id in user_ids if user_id not in found][:max_read]
        if missing:
            found |= await self._hold(missing, await self._source.rated_by_each(missing, MAX_RATINGS))
        return [found[user_id] for user_id in user_ids if user_id in found]

    async def _hold(self, user_ids: Collection[UUID], rows: Sequence[RatingRow]) -> dict[UUID, History]:
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
            ratings = len(history.videos)
            seconds = _LONG_SECONDS if ratings >= _LONG_HISTORY else _SECONDS
            self._held.hold(user_id, history, _PERSON_BYTES + _RATING_BYTES * ratings, seconds)
        return made


class Likers:
    """A bounded cache of who likes videos: of a sample of the people who rated them, the same people for every video."""

    def __init__(self, source: LikerSource, max_bytes: int = MAX_LIKER_BYTES) -> None:
        self._source = source
        self._held: Held[tuple[UUID, ...]] = Held("likers", max_bytes)

    async def of(self, video_ids: Sequence[UUID], limit: int) -> dict[UUID, tuple[UUID, ...]]:
        """Who likes each video, among `limit` people who rated it."""
        found = self._held.known(video_ids)
        missing = [video_id for video_id in video_ids if video_id not in found]
        likers: dict[UUID, list[UUID]] = defaultdict(list)
        ratings: Counter[UUID] = Counter()
        if missing:
            for index, row in enumerate(await self._source.ratings_of(missing, limit)):
                if index % _ROWS_AT_ONCE == 0:
                    await checkpoint()
                ratings[row.video_id] += 1
                if row.user_id is not None and (row.rating or 0) >= LIKED:
                    likers[row.video_id].append(row.user_id)
        for video_id, people in likers.items():
            found[video_id] = tuple(people)
            if ratings[video_id] >= _MANY_RATINGS:
                self._held.hold(video_id, found[video_id], _VIDEO_BYTES + _LIKER_BYTES * len(people), _SECONDS)
        return found
