"""What can be loaded: people, videos, ratings, comments and plays, each with the line of the file where it was read."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID


@dataclass(frozen=True)
class SourceLine:
    """A row's first line in a file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Person:
    """Somebody who submits, rates and comments."""

    source: SourceLine
    user_id: UUID
    first_name: str
    last_name: str
    email: str


@dataclass(frozen=True)
class VideoItem:
    """A video. `location` is the id at YouTube, or the address of a file where `uploaded`; `added` only orders the videos."""

    source: SourceLine
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
    """One person's rating of one video, 1 to 5."""

    source: SourceLine
    video_id: UUID
    user_id: UUID
    rating: int


@dataclass(frozen=True)
class Comment:
    """What one person says about one video. The id is that of the file, a version-1 UUID, whose time only orders the comments."""

    source: SourceLine
    video_id: UUID
    user_id: UUID
    comment_id: UUID
    text: str


@dataclass(frozen=True)
class Plays:
    """How often a video was played."""

    source: SourceLine
    video_id: UUID
    views: int


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be loaded, and why."""

    source: SourceLine
    reason: str


@dataclass(frozen=True)
class DataSet:
    """All rows of a folder."""

    people: list[Person]
    videos: list[VideoItem]
    ratings: list[Rating]
    comments: list[Comment]
    plays: list[Plays]
    bad_rows: list[BadRow]
