"""The films and ratings of MovieLens, with the last fifth of what each person likes held out."""

import csv
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

LIKED = 4
"""A rating from which on a film counts as liked."""


@dataclass(frozen=True)
class Film:
    """A film: its number, its title and its genres."""

    number: int
    youtube_id: str
    title: str
    genres: frozenset[str]


@dataclass(frozen=True)
class HeldOutRatings:
    """The films, what each person rated in order of time (film, rating) without what is held out; and the liked films that are held out."""

    films: dict[int, Film]
    known: dict[int, list[tuple[int, int]]]
    held_out: dict[int, set[int]]

    @property
    def like_counts(self) -> Counter[int]:
        """How many people like each film, in the known ratings."""
        return Counter(film for rated in self.known.values() for film, rating in rated if rating >= LIKED)


def read(folder: Path, people: tuple[int, int]) -> HeldOutRatings:
    """Read the files and hold out the last fifth in time of what each of the `people` (first and last number) likes."""
    with (folder / "videos.csv").open(newline="") as file:
        films = {
            int(row["movie_id"]): Film(
                int(row["movie_id"]),
                row["youtube_id"],
                row["title"],
                frozenset(row["genres"].split("|")) - {"(no genres listed)"},
            )
            for row in csv.DictReader(file)
        }
    rated: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    with (folder / "ratings.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            person, film = int(row["user_id"]), int(row["movie_id"])
            if people[0] <= person <= people[1] and film in films:
                rated[person].append((int(row["timestamp"]), film, math.floor(float(row["rating"]) + 0.5)))
    known, held_out = {}, {}
    for person, rows in rated.items():
        liked = [film for _, film, rating in sorted(rows) if rating >= LIKED]
        held_out[person] = set(liked[len(liked) - len(liked) // 5 :])
        known[person] = [(film, rating) for _, film, rating in sorted(rows) if film not in held_out[person]]
    return HeldOutRatings(films, known, held_out)
