"""The rows that suggested videos reads from the tables of other services."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class PreviewRow(NamedTuple):
    """A video as lists show it."""

    video_id: UUID
    user_id: UUID | None
    added_date: datetime | None
    name: str | None
    preview_image_location: str | None


class ContentRow(NamedTuple):
    """What a video is about."""

    video_id: UUID
    user_id: UUID | None
    name: str | None
    tags: Collection[str] | None
    added_date: datetime | None = None


class DescribedRow(NamedTuple):
    """What a video is about, its description too."""

    video_id: UUID
    user_id: UUID | None
    name: str | None
    tags: Collection[str] | None
    description: str | None
    added_date: datetime | None = None


class RingRow(NamedTuple):
    """A video, and where it lies on the token ring."""

    token: int
    video_id: UUID
    user_id: UUID | None
    added_date: datetime | None
    name: str | None
    preview_image_location: str | None
    tags: Collection[str] | None


class RatingRow(NamedTuple):
    """Somebody's rating of a video."""

    user_id: UUID | None
    video_id: UUID
    rating: int | None


class OwnRow(NamedTuple):
    """A rating of the person who asks."""

    video_id: UUID
    rating: int | None


class RatedRow(NamedTuple):
    """When a person rated which video how."""

    rated_at: datetime
    video_id: UUID
    rating: int | None


class NewestRow(NamedTuple):
    """When a person rated last: when the newest of their ratings was listed, and when one was given or replaced."""

    rated_at: datetime | None
    changed_at: datetime | None


class TotalsRow(NamedTuple):
    """How many ratings a video has, and their sum."""

    video_id: UUID
    ratings: int | None
    total: int | None


class PlaysRow(NamedTuple):
    """How often a video was played."""

    video_id: UUID
    views: int | None


class TaggedRow(NamedTuple):
    """A video and one of its tags."""

    tag: str
    video_id: UUID


class WordRow(NamedTuple):
    """A video and one of its words."""

    word: str
    video_id: UUID


class EventRow(NamedTuple):
    """A video whose ratings or plays have reached a level."""

    level: int
    video_id: UUID


class AddedRow(NamedTuple):
    """A video, and when it was added."""

    video_id: UUID
    added_date: datetime


class IdRow(NamedTuple):
    """The id of a video."""

    video_id: UUID
