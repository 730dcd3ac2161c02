"""Data for `python -m benchmarks.growth data`: whole videos with comments and ratings, written by the statements of the services."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from itertools import accumulate
from uuid import UUID, uuid1, uuid4

from common.database import Database, Write
from common.errors import Unavailable
from common.timestamps import now
from services.comments.repository import INSERT_BY_VIDEO
from services.video_catalog.index_plan import spelling_steps, steps_to_write
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.video import Video

USERS = 10_000
WORDS, TAGS = 50_000, 2_000
DAYS = 30
WORDS_OF_A_NAME, TAGS_OF_A_VIDEO, WORDS_OF_A_DESCRIPTION = 5, 3, 20
RATINGS_OF_A_VIDEO, RATINGS_AT_ONCE = 10, 20
WRITERS = 8
PAUSE_SECONDS = 0.5
SEED = 13

INSERT_RATING = Write("INSERT INTO video_ratings_by_user (videoid, userid, rating) VALUES (?, ?, ?)")
INSERT_OF_USER = Write("INSERT INTO user_ratings (userid, rated_at, videoid, rating) VALUES (?, ?, ?, ?)")
STATEMENTS = (INSERT_RATING, INSERT_OF_USER)

_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"


class Load:
    """What is in the database, and how more of it gets there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._catalog = VideoCatalogRepository(database)
        self._random = random.Random(SEED)  # the same words in each run; nothing secret
        self._spelt: set[str] = set()
        self.words = self._vocabulary(WORDS)
        self._tags = self.words[100 : 100 + TAGS]
        self._word_weights, self._tag_weights = _zipf(WORDS), _zipf(TAGS)
        self.users = [uuid4() for _ in range(USERS)]
        self.videos: list[UUID] = []
        self.ratings = 0
        self.rare = "quixotically"
        self.mistyped = "quixoticaly"
        self.resubmitted = uuid4()

    def video(self, video_id: UUID) -> Video:
        """A made-up video."""
        choose = self._random.choices
        name = choose(self.words, cum_weights=self._word_weights, k=WORDS_OF_A_NAME)
        tags = choose(self._tags, cum_weights=self._tag_weights, k=TAGS_OF_A_VIDEO)
        description = choose(self.words, cum_weights=self._word_weights, k=WORDS_OF_A_DESCRIPTION)
        added = now() - timedelta(milliseconds=self._random.randrange(DAYS * 86_400_000))
        return Video(
            video_id=video_id,
            user_id=self._random.choice(self.users),
            name=" ".join(name),
            description=" ".join(description),
            location="abcdefghijk",
            location_type=0,
            preview_image_location="//img.youtube.com/vi/abcdefghijk/hqdefault.jpg",
            tags=frozenset(tags),
            added_date=added,
        )

    async def grow(self, size: int, report: Callable[[int], None]) -> None:
        """Write until there are `size` videos, one comment of the first for each, and ten ratings for each. `report` is told of every tenth."""
        wanted = [uuid4() for _ in range(size - len(self.videos))]
        step = max(size // 10, 1)
        if not self.videos:
            rare = self.video(wanted[0])
            await self._write(Video(**{**vars(rare), "name": f"{self.rare} {rare.name}"}))
            self.videos.append(wanted.pop(0))

        async def writer() -> None:
            while wanted:
                video_id = wanted.pop()
                await self._write(self.video(video_id))
                self.videos.append(video_id)
                if len(self.videos) % step == 0:
                    report(len(self.videos))

        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        await self._rate(size * RATINGS_OF_A_VIDEO)

    async def _write(self, video: Video) -> None:
        steps, found = steps_to_write(video, None)
        new = (found.shown_spellings | found.other_spellings) - self._spelt
        self._spelt |= new
        target = self.videos[0] if self.videos else video.video_id
        comment = (INSERT_BY_VIDEO, (target, uuid1(), video.user_id, "a comment"))
        everything = [*steps.all(), *spelling_steps(new), comment]
        await _patiently(lambda: self._catalog.write_apart(everything))

    async def _rate(self, wanted: int) -> None:
        """Ratings of people one after the other; the first videos get more than the later ones."""
        weights = _zipf(len(self.videos))

        async def rater() -> None:
            while self.ratings < wanted:
                self.ratings += RATINGS_AT_ONCE
                user_id = self._random.choice(self.users)
                chosen = set(self._random.choices(self.videos, cum_weights=weights, k=RATINGS_AT_ONCE))
                rated = [(video_id, self._random.randint(1, 5)) for video_id in chosen]
                rated_at = now()
                of_user = [(INSERT_OF_USER, (user_id, rated_at, *each)) for each in rated]
                await _patiently(lambda: self._database.batch(of_user))  # noqa: B023  # awaited before the next round
                for each in rated:
                    values = (each[0], user_id, each[1])
                    await _patiently(lambda: self._database.write(INSERT_RATING, *values))  # noqa: B023

        await asyncio.gather(*(rater() for _ in range(WRITERS)))

    def _vocabulary(self, size: int) -> list[str]:
        """Made-up words, the commonest and shortest first."""
        found: dict[str, None] = {}
        while len(found) < size:
            syllables = 2 + (len(found) > size // 50) + (len(found) > size // 3)
            letters = (self._random.choice(_CONSONANTS) + self._random.choice(_VOWELS) for _ in range(syllables))
            found["".join(letters)] = None
        return list(found)


async def _patiently(write: Callable[[], Awaitable[None]]) -> None:
    """Repeat a write while Cassandra cannot keep up."""
    while True:
        try:
            return await write()
        except Unavailable:
            await asyncio.sleep(PAUSE_SECONDS)


def _zipf(size: int) -> Sequence[float]:
    """The cumulative weights of the first, second, … : one divided by the rank."""
    return list(accumulate(1 / rank for rank in range(1, size + 1)))
