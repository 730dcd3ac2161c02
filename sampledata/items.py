"""What can be loaded: people, videos, ratings, comments and plays, each with the place in a file where it was read."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID


@dataclass(frozen=True)
class Place:
    """A row's first line in a file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Person:
    """Somebody who submits, rates and comments."""

    place: Place
    user_id: UUID
    first_name: str
    last_name: str
    email: str


@dataclass(frozen=True)
class Video:
    """A video. `location` is the id at YouTube, or the address of a file where `uploaded`; `added` only tells which is older."""

    place: Place
    video_id: UUID
    user_id: UUID
    name: str
    description: str
    tags: tuple[str, ...]
    location: str
    uploaded: bool
    added: datetime | None


@dataclass(frozen=True)
class Rating:
    """What one person thinks of one video, 1 to 5."""

    place: Place
    video_id: UUID
    user_id: UUID
    rating: int


@dataclass(frozen=True)
class Comment:
    """What one person says about one video. The id is that of the file, a version-1 UUID, whose time only tells which is older."""

    place: Place
    video_id: UUID
    user_id: UUID
    comment_id: UUID
    text: str


@dataclass(frozen=True)
class Plays:
    """How often a video was played."""

    place: Place
    video_id: UUID
    views: int


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be loaded, and why."""

    place: Place
    reason: str


@dataclass(frozen=True)
class DataSet:
    """All that a folder holds."""

    people: list[Person]
    videos: list[Video]
    ratings: list[Rating]
    comments: list[Comment]
    plays: list[Plays]
    bad_rows: list[BadRow]
