"""What the repository of suggested videos does, in memory: the tables of the other services as dicts, filled by `add_video`, `rate` and `play`."""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import date, datetime, timedelta
from uuid import UUID

from common.ids import cassandra_uuid_order
from common.timestamps import now
from language.text import terms
from services.suggested_videos.list_repository import ListName, ListRow
from services.suggested_videos.rows import (
    AddedRow,
    ContentRow,
    DescribedRow,
    PreviewRow,
    RatedRow,
    RatingRow,
    RingRow,
    TaggedRow,
    TotalsRow,
    WordRow,
)


def token_of(video_id: UUID) -> int:
    """A place on the token ring that tells nothing of the id, as a hash does not."""
    return int.from_bytes(hashlib.blake2b(video_id.bytes, digest_size=8).digest(), "big", signed=True)


class SuggestionsInDicts:
    """A SuggestedVideosRepository and a ListRepository without a database."""

    def __init__(self) -> None:
        self.videos: dict[UUID, DescribedRow] = {}
        self.ratings: dict[UUID, dict[UUID, int]] = defaultdict(dict)
        self.log: dict[UUID, list[RatedRow]] = defaultdict(list)
        self.views: Counter[UUID] = Counter()
        self.events: set[UUID] = set()
        self.kept_popular: set[UUID] = set()
        self.folded_until: datetime | None = None
        self.unlisted: set[UUID] = set()
        self.lists: dict[ListName, dict[datetime, tuple[ListRow, str | None]]] = defaultdict(dict)
        self.made = 0
        self.made_again = asyncio.Event()
        self._clock = now()

    # What others write

    def add_video(
        self, video_id: UUID, author: UUID, name: str, tags: Collection[str] = (), description: str = ""
    ) -> None:
        self._clock += timedelta(milliseconds=1)
        self.videos[video_id] = DescribedRow(video_id, author, name, tags, description, self._clock)

    def rate(self, user_id: UUID, video_id: UUID, rating: int) -> None:
        self._clock += timedelta(milliseconds=1)
        self.ratings[video_id][user_id] = rating
        self.log[user_id].insert(0, RatedRow(self._clock, video_id, rating))
        self.events.add(video_id)

    def play(self, video_id: UUID, times: int) -> None:
        self.views[video_id] += times
        self.events.add(video_id)

    # What the repository reads and keeps

    async def previews(self, video_ids: Collection[UUID]) -> dict[UUID, PreviewRow]:
        rows = [self.videos[each] for each in video_ids if each in self.videos]
        return {row.video_id: PreviewRow(row.video_id, row.user_id, row.added_date, row.name, "//p") for row in rows}

    async def contents(self, video_ids: Collection[UUID]) -> dict[UUID, ContentRow]:
        rows = [self.videos[each] for each in video_ids if each in self.videos]
        return {row.video_id: ContentRow(row.video_id, row.user_id, row.name, row.tags, row.added_date) for row in rows}

    async def on_ring(self, after: int, limit: int) -> list[RingRow]:
        rows = sorted((token_of(row.video_id), row) for row in self.videos.values() if token_of(row.video_id) > after)
        return [
            RingRow(token, row.video_id, row.user_id, row.added_date, row.name, "//p", row.tags)
            for token, row in rows[:limit]
        ]

    async def newest(self, days: Collection[date], limit: int) -> list[AddedRow]:
        listed = sorted((row.added_date, row.video_id) for row in self.videos.values() if row.added_date)
        rows = [AddedRow(each, added) for added, each in reversed(listed) if each not in self.unlisted]
        return [row for day in days for row in [each for each in rows if each.added_date.date() == day][:limit]]

    async def described(self, video_ids: Collection[UUID]) -> dict[UUID, DescribedRow]:
        return {each: self.videos[each] for each in video_ids if each in self.videos}

    async def with_words(self, words: Collection[str], limit: int) -> list[WordRow]:
        found: dict[str, list[WordRow]] = defaultdict(list)
        for row in self.videos.values():
            for word in {*terms(" ".join([row.name or "", row.description or "", *(row.tags or ())]))} & {*words}:
                found[word].append(WordRow(word, row.video_id))
        return [row for rows in found.values() for row in rows[:limit]]

    async def tagged(self, tags: Collection[str], limit: int) -> list[TaggedRow]:
        rows = sorted(self.videos.values(), key=lambda row: cassandra_uuid_order(row.video_id))
        return [
            TaggedRow(tag, video.video_id)
            for tag in tags
            for video in [row for row in rows if tag in (row.tags or ())][:limit]
        ]

    async def of_authors(self, user_ids: Collection[UUID], limit: int) -> list[UUID]:
        return [row.video_id for user in user_ids for row in self.videos.values() if row.user_id == user]

    async def newest_rating(self, user_id: UUID) -> datetime | None:
        return self.log[user_id][0].rated_at if self.log[user_id] else None

    async def rated_by(self, user_id: UUID, limit: int) -> list[RatedRow]:
        return self.log[user_id][:limit]

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        return [RatingRow(each, row.video_id, row.rating) for each in user_ids for row in self.log[each][:limit]]

    async def own_ratings(self, user_id: UUID, video_ids: Collection[UUID]) -> dict[UUID, int]:
        return {each: self.ratings[each][user_id] for each in video_ids if user_id in self.ratings.get(each, {})}

    async def ratings_of(self, video_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        return [
            RatingRow(user_id, each, rating)
            for each in video_ids
            for user_id, rating in sorted(self.ratings.get(each, {}).items())[:limit]
        ]

    async def totals(self, video_ids: Collection[UUID]) -> dict[UUID, TotalsRow]:
        rated = {each: self.ratings[each].values() for each in video_ids if self.ratings.get(each)}
        return {each: TotalsRow(each, len(ratings), sum(ratings)) for each, ratings in rated.items()}

    async def plays(self, video_ids: Collection[UUID]) -> dict[UUID, int]:
        return {each: self.views[each] for each in video_ids if each in self.views}

    async def with_events(self, minutes: Collection[datetime], limit: int) -> set[UUID]:
        return set(self.events)

    async def candidates(self) -> tuple[set[UUID], datetime | None]:
        return set(self.kept_popular), self.folded_until

    async def keep_candidates(self, video_ids: Collection[UUID], folded_until: datetime) -> None:
        self.kept_popular = {*video_ids}
        self.folded_until = folded_until

    async def newest_list(self, name: ListName) -> ListRow | None:
        return self.lists[name][max(self.lists[name])][0] if self.lists[name] else None

    async def list_made_at(self, name: ListName, made_at: datetime) -> ListRow | None:
        kept = self.lists[name].get(made_at)
        return kept[0] if kept else None

    async def save_list(self, name: ListName, made: ListRow, reasons: str | None) -> None:
        self.made += 1
        if self.made > 1:
            self.made_again.set()
        self.lists[name][made.made_at] = (made, reasons)

    async def reasons(self, name: ListName, made_at: datetime) -> str | None:
        return self.lists[name][made_at][1]

    async def claim(self, name: ListName, owner: UUID) -> bool:
        return True

    def age_lists(self, by: timedelta) -> None:
        """Make all lists that are kept older."""
        for kept in self.lists.values():
            for made_at, (row, reasons) in list(kept.items()):
                if row.checked_at:
                    del kept[made_at]
                    older = row._replace(made_at=made_at - by, checked_at=row.checked_at - by)
                    kept[older.made_at] = (older, reasons)
