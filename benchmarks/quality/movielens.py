"""Suggestions on the ratings of MovieLens (files ratings.csv and videos.csv), through the running services.

The last fifth in time of what each person likes (4 or 5 stars, halves rounded up) is held out. The rest, and all other ratings, go in by
RateVideo; then the service is asked what it suggests to each person, and what is related to each film that was held out. How many of the
ten are among the held-out ones is compared with what simple methods reach on the same ratings.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.quality.baselines import NEIGHBOURS, Cosine, by_genres, overlap
from benchmarks.quality.measures import LENGTH, mean, ndcg, percentile, recall
from benchmarks.quality.ratings_data import Film, HeldOutRatings, read
from client import Services
from protos import ratings_pb2, suggested_videos_pb2, video_catalog_pb2
from protos.common_pb2 import Uuid

_AT_ONCE = 16
_FEW = 5
_RARE_ASKED = 300
Item = TypeVar("Item")


def video_id(film: int) -> UUID:
    """The id under which a film is submitted."""
    return uuid5(NAMESPACE_URL, f"https://movielens.org/movies/{film}")


def user_id(person: int) -> UUID:
    """The id under which a person rates."""
    return uuid5(NAMESPACE_URL, f"https://movielens.org/users/{person}")


async def load(services: Services, ratings: HeldOutRatings) -> None:
    """Submit the films and rate them: the ratings of one person in their order, those of several people at a time."""

    async def submit(film: Film) -> None:
        await services.video_catalog.SubmitYouTubeVideo(
            video_catalog_pb2.SubmitYouTubeVideoRequest(
                video_id=Uuid(value=str(video_id(film.number))),
                user_id=Uuid(value=str(user_id(0))),
                name=film.title,
                tags=sorted(film.genres),
                you_tube_video_id=film.youtube_id or str(film.number),
            )
        )

    async def rate(person: int) -> None:
        for film, rating in ratings.known[person]:
            await services.ratings.RateVideo(
                ratings_pb2.RateVideoRequest(
                    video_id=Uuid(value=str(video_id(film))), user_id=Uuid(value=str(user_id(person))), rating=rating
                )
            )

    await _in_parallel("films", list(ratings.films.values()), submit)
    await _in_parallel("ratings", list(ratings.known), rate)


async def _in_parallel(what: str, items: Sequence[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    waiting = iter(track(items, what, console=Console(stderr=True)))

    async def worker() -> None:
        for item in waiting:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))


class SuggestionService:
    """The service's answers as film numbers, and the seconds of each call."""

    def __init__(self, services: Services, films: Iterable[int]) -> None:
        self._services = services
        self._numbers = {str(video_id(film)): film for film in films}
        self.seconds: list[float] = []

    async def suggested(self, person: int) -> list[int]:
        """What is suggested to a person."""
        began = perf_counter()
        answer = await self._services.suggested_videos.GetSuggestedForUser(
            suggested_videos_pb2.GetSuggestedForUserRequest(user_id=Uuid(value=str(user_id(person))), page_size=LENGTH),
            timeout=30,
        )
        self.seconds.append(perf_counter() - began)
        return [self._numbers.get(row.video_id.value, -1) for row in answer.videos]

    async def related(self, film: int) -> list[int]:
        """What is related to a film."""
        began = perf_counter()
        answer = await self._services.suggested_videos.GetRelatedVideos(
            suggested_videos_pb2.GetRelatedVideosRequest(video_id=Uuid(value=str(video_id(film))), page_size=LENGTH),
            timeout=30,
        )
        self.seconds.append(perf_counter() - began)
        return [self._numbers.get(row.video_id.value, -1) for row in answer.videos]


def _row(table: Table, name: str, lists: dict[int, list[int]], ratings: HeldOutRatings) -> None:
    asked = [person for person, wanted in ratings.held_out.items() if wanted]
    shown = {film for person in asked for film in lists[person]}
    table.add_row(
        name,
        f"{mean([ndcg(lists[person], ratings.held_out[person]) for person in asked]):.3f}",
        f"{mean([recall(lists[person], ratings.held_out[person]) for person in asked]):.3f}",
        f"{mean([float(recall(lists[person], ratings.held_out[person]) > 0) for person in asked]):.2f}",
        f"{len(shown) / len(ratings.films):.1%}",
    )


async def suggestions(service: SuggestionService, ratings: HeldOutRatings) -> Table:
    """The table of suggestions, compared with what each person liked later."""
    table = Table("for a person", "nDCG@10", "recall@10", "hit rate", "films shown")
    popular = [film for film, _ in ratings.like_counts.most_common()]
    cosine = Cosine(ratings)
    asked = [person for person, wanted in ratings.held_out.items() if wanted]
    seen = {person: {film for film, _ in rated} for person, rated in ratings.known.items()}
    _row(
        table,
        "popularity",
        {person: [film for film in popular if film not in seen[person]][:LENGTH] for person in asked},
        ratings,
    )
    _row(
        table,
        f"item-kNN, {NEIGHBOURS} neighbours",
        {person: cosine.suggested(ratings.known[person]) for person in asked},
        ratings,
    )
    people = track(asked, "suggestions", console=Console(stderr=True))
    suggested = {person: await service.suggested(person) for person in people}
    _row(table, "the service", suggested, ratings)
    return table


async def relations(service: SuggestionService, ratings: HeldOutRatings) -> Table:
    """The table of related films, compared with the other films that people liked later, and how alike the films related to rare ones are."""
    like_counts = ratings.like_counts
    cases = [
        (film, wanted - {film}) for wanted in ratings.held_out.values() for film in sorted(wanted) if len(wanted) > 1
    ]
    rare = [number for number, film in ratings.films.items() if like_counts[number] < _FEW and film.genres]
    rare = random.Random(0).sample(rare, min(_RARE_ASKED, len(rare)))
    films = sorted({film for film, _ in cases} | set(rare))
    cosine = Cosine(ratings)
    popular = [film for film, _ in like_counts.most_common(LENGTH + 1)]
    methods: list[tuple[str, dict[int, list[int]]]] = [
        ("popularity", {film: [other for other in popular if other != film] for film in films}),
        ("genres", {film: by_genres(ratings, film) for film in track(films, "genres", console=Console(stderr=True))}),
        ("cosine", {film: [other for _, other in cosine.neighbours(film, LENGTH)] for film in films}),
        (
            "the service",
            {film: await service.related(film) for film in track(films, "related", console=Console(stderr=True))},
        ),
    ]
    table = Table("related", "nDCG@10", f"genres in common (fewer than {_FEW} like it)")
    for name, lists in methods:
        common = [
            overlap(ratings.films[film].genres, ratings.films[other].genres)
            for film in rare
            for other in lists[film]
            if other in ratings.films
        ]
        table.add_row(name, f"{mean([ndcg(lists[film], wanted) for film, wanted in cases]):.3f}", f"{mean(common):.2f}")
    return table


async def run(folder: Path, people: tuple[int, int], loaded: bool) -> None:
    """Load the data (unless `loaded`), make the calls and print the tables."""
    ratings = read(folder, people)
    console = Console(width=100)
    async with Services.from_settings() as services:
        if not loaded:
            await load(services, ratings)
        service = SuggestionService(services, ratings.films)
        for measure in (suggestions, relations):
            service.seconds.clear()
            console.print(await measure(service, ratings))
            times = [percentile(service.seconds, share) * 1000 for share in (0.5, 0.95)]
            console.print(f"first calls: half within {times[0]:.0f} ms, 95 % within {times[1]:.0f} ms\n")
