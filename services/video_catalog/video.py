"""A video, as it is submitted and as it is kept."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Submission:
    """A video as it is submitted."""

    video_id: UUID
    user_id: UUID
    name: str
    description: str
    location: str
    location_type: int
    preview_image_location: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Video(Submission):
    """A video as it is kept: with the timestamp (naive, UTC) of its first submission, by which lists are ordered."""

    added_date: datetime
