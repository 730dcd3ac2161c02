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
from benchmarks.quality.ratings_data import Film, Trial, read
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


async def load(services: Services, trial: Trial) -> None:
    """Submit the films and rate them: the ratings of each person in their order, several people side by side."""

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
        for film, rating in trial.known[person]:
            await services.ratings.RateVideo(
                ratings_pb2.RateVideoRequest(
                    video_id=Uuid(value=str(video_id(film))), user_id=Uuid(value=str(user_id(person))), rating=rating
                )
            )

    await _side_by_side("films", list(trial.films.values()), submit)
    await _side_by_side("ratings", list(trial.known), rate)


async def _side_by_side(what: str, items: Sequence[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    waiting = iter(track(items, what, console=Console(stderr=True)))

    async def worker() -> None:
        for item in waiting:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))


class Service:
    """The service's answers as film numbers, and how long each took."""

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


def _row(table: Table, name: str, lists: dict[int, list[int]], trial: Trial) -> None:
    asked = [person for person, wanted in trial.held_out.items() if wanted]
    shown = {film for person in asked for film in lists[person]}
    table.add_row(
        name,
        f"{mean([ndcg(lists[each], trial.held_out[each]) for each in asked]):.3f}",
        f"{mean([recall(lists[each], trial.held_out[each]) for each in asked]):.3f}",
        f"{mean([float(recall(lists[each], trial.held_out[each]) > 0) for each in asked]):.2f}",
        f"{len(shown) / len(trial.films):.1%}",
    )


async def suggestions(service: Service, trial: Trial) -> Table:
    """Suggestions against what each person came to like."""
    table = Table("for a person", "nDCG@10", "recall@10", "hit rate", "films shown")
    popular = [film for film, _ in trial.likings.most_common()]
    cosine = Cosine(trial)
    asked = [person for person, wanted in trial.held_out.items() if wanted]
    seen = {person: {film for film, _ in rated} for person, rated in trial.known.items()}
    _row(
        table,
        "popularity",
        {each: [film for film in popular if film not in seen[each]][:LENGTH] for each in asked},
        trial,
    )
    _row(
        table,
        f"item-kNN, {NEIGHBOURS} neighbours",
        {each: cosine.suggested(trial.known[each]) for each in asked},
        trial,
    )
    ours = {each: await service.suggested(each) for each in track(asked, "suggestions", console=Console(stderr=True))}
    _row(table, "the service", ours, trial)
    return table


async def relations(service: Service, trial: Trial) -> Table:
    """Related films against what else those who came to like a film came to like, and how alike those of rare films are."""
    likings = trial.likings
    cases = [
        (film, wanted - {film}) for wanted in trial.held_out.values() for film in sorted(wanted) if len(wanted) > 1
    ]
    rare = [film for film, each in trial.films.items() if likings[film] < _FEW and each.genres]
    rare = random.Random(0).sample(rare, min(_RARE_ASKED, len(rare)))
    films = sorted({film for film, _ in cases} | set(rare))
    cosine = Cosine(trial)
    popular = [film for film, _ in likings.most_common(LENGTH + 1)]
    methods: list[tuple[str, dict[int, list[int]]]] = [
        ("popularity", {film: [each for each in popular if each != film] for film in films}),
        ("genres", {film: by_genres(trial, film) for film in track(films, "genres", console=Console(stderr=True))}),
        ("cosine", {film: [other for _, other in cosine.neighbours(film, LENGTH)] for film in films}),
        (
            "the service",
            {film: await service.related(film) for film in track(films, "related", console=Console(stderr=True))},
        ),
    ]
    table = Table("related", "nDCG@10", f"genres in common (fewer than {_FEW} like it)")
    for name, lists in methods:
        common = [
            overlap(trial.films[film].genres, trial.films[other].genres)
            for film in rare
            for other in lists[film]
            if other in trial.films
        ]
        table.add_row(name, f"{mean([ndcg(lists[film], wanted) for film, wanted in cases]):.3f}", f"{mean(common):.2f}")
    return table


async def run(folder: Path, people: tuple[int, int], loaded: bool) -> None:
    """Load (unless that was done before), ask and print."""
    trial = read(folder, people)
    console = Console(width=100)
    async with Services.from_settings() as services:
        if not loaded:
            await load(services, trial)
        service = Service(services, trial.films)
        for measure in (suggestions, relations):
            service.seconds.clear()
            console.print(await measure(service, trial))
            times = [percentile(service.seconds, share) * 1000 for share in (0.5, 0.95)]
            console.print(f"first calls: half within {times[0]:.0f} ms, 95 % within {times[1]:.0f} ms\n")
