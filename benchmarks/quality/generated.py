"""Generated videos, people and ratings, and loading them through the services.

Words are drawn as in a language, few of them very often (the weight of the nth is 1 / (n + 5)), people rate what their circle likes.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from itertools import accumulate
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from rich.console import Console
from rich.progress import track

from client import Services
from protos import ratings_pb2, video_catalog_pb2
from protos.common_pb2 import Uuid

SEED = 7
VOCABULARY = 30_000
NAME_WORDS, TAGS, DESCRIPTION_WORDS = 6, 8, 80
CIRCLES, RATINGS_EACH = 20, 100
_AT_ONCE = 16
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


class Text(NamedTuple):
    """The text of a generated video."""

    name: str
    tags: list[str]
    description: str


class GeneratedData:
    """The generated videos and people: the same in every run with the same numbers of videos and ratings."""

    def __init__(self, videos: int, ratings: int) -> None:
        self.random = random.Random(SEED)
        self.videos = videos
        self.people = ratings // RATINGS_EACH
        self.words = self._vocabulary()
        self._weights = list(accumulate(1 / (rank + 5) for rank in range(VOCABULARY)))

    def _vocabulary(self) -> list[str]:
        words: dict[str, None] = {}
        while len(words) < VOCABULARY:
            words["".join(self.random.choices(_SYLLABLES, k=self.random.choice((2, 3, 3, 4))))] = None
        return list(words)

    def draw(self, count: int) -> list[str]:
        """Words with the frequencies of a language."""
        return self.random.choices(self.words, cum_weights=self._weights, k=count)

    def text(self) -> Text:
        """The text of another video."""
        return Text(" ".join(self.draw(NAME_WORDS)), self.draw(TAGS), " ".join(self.draw(DESCRIPTION_WORDS)))

    def rated_by(self, person: int) -> list[tuple[int, int]]:
        """Videos that a person rated, with the ratings: well-known videos are rated more often, and those of the person's circle well."""
        seen = {min(int(self.random.paretovariate(0.6)) * 7 % self.videos, self.videos - 1) for _ in range(30)}
        while len(seen) < min(RATINGS_EACH, self.videos // 2):
            seen.add(int(self.videos * self.random.random() ** 2))
        liked = person % CIRCLES
        return [
            (video, self.random.choice((4, 5) if video % CIRCLES == liked else (1, 2, 3, 4))) for video in sorted(seen)
        ]


def video_id(number: int) -> UUID:
    """The id of a generated video."""
    return uuid5(NAMESPACE_URL, f"killrvideo:cost:video:{number}")


def user_id(number: int) -> UUID:
    """The id of a generated person."""
    return uuid5(NAMESPACE_URL, f"killrvideo:cost:user:{number}")


async def load(services: Services, data: GeneratedData) -> None:
    """Submit the videos and rate them."""

    async def submit(number: int) -> None:
        name, tags, description = data.text()
        await services.video_catalog.SubmitYouTubeVideo(
            video_catalog_pb2.SubmitYouTubeVideoRequest(
                video_id=Uuid(value=str(video_id(number))),
                user_id=Uuid(value=str(user_id(-1 - number % 1000))),
                name=name,
                description=description,
                tags=tags,
                you_tube_video_id=str(number),
            ),
            timeout=30,
        )

    async def rate(person: int) -> None:
        for video, rating in data.rated_by(person):
            await services.ratings.RateVideo(
                ratings_pb2.RateVideoRequest(
                    video_id=Uuid(value=str(video_id(video))), user_id=Uuid(value=str(user_id(person))), rating=rating
                ),
                timeout=30,
            )

    for what, count, work in (("videos", data.videos, submit), ("people", data.people, rate)):
        numbers = iter(track(range(count), what, console=Console(stderr=True)))

        async def worker(numbers: Iterable[int] = numbers, work: Callable[[int], Awaitable[None]] = work) -> None:
            for number in numbers:
                await work(number)

        await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))
