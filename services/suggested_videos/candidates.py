"""Candidates by content: videos that share tags, words or the author with a video or with what a person likes."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import TypeVar
from uuid import UUID

from services.suggested_videos import ranking
from services.suggested_videos.ranking import Content, content_of
from services.suggested_videos.repository import ContentRow, SuggestedVideosRepository

MAX_CANDIDATES = 200
"""Candidates whose totals or contents are read."""

_TAGS, _VIDEOS_OF_TAG = 20, 300
_WORDS, _VIDEOS_OF_WORD = 20, 50
_AUTHORS, _VIDEOS_OF_AUTHOR = 3, 50
_DESCRIBED = 60

_WORD_WEIGHT = 0.3  # a word against a tag
_RARITY = 0.25  # how much less a tag or word says that many candidates have

Key = TypeVar("Key", str, UUID)


async def of_like_content(
    repository: SuggestedVideosRepository, about: Content, excluded: Collection[UUID]
) -> list[UUID]:
    """The videos that share most with a content, best first: tags and words in common, rare ones counting more, then those of the same author."""
    tags = _heaviest(about.tags, _TAGS)
    tagged, worded, authored = await asyncio.gather(
        repository.tagged({*tags, *(tag for tag in about.spellings if tag.lower() in tags)}, _VIDEOS_OF_TAG),
        repository.with_words(_heaviest(about.words, _WORDS), _VIDEOS_OF_WORD),
        repository.of_authors(_heaviest(about.authors, _AUTHORS), _VIDEOS_OF_AUTHOR),
    )
    found = [("tag", row.tag.lower(), row.video_id) for row in tagged]
    found += [("word", row.word, row.video_id) for row in worded]
    frequency = Counter((kind, key) for kind, key, _ in found)
    shared: dict[UUID, float] = defaultdict(float)
    for kind, key, video_id in found:
        weight = about.tags.get(key, 0.0) if kind == "tag" else _WORD_WEIGHT * about.words.get(key, 0.0)
        shared[video_id] += weight / (1 + frequency[kind, key]) ** _RARITY
    best = [video_id for video_id in ranking.best_first(shared) if video_id not in excluded][:MAX_CANDIDATES]
    others = [video_id for video_id in dict.fromkeys(authored) if video_id not in excluded and video_id not in shared]
    return best + others


def contents_of(rows: Mapping[UUID, ContentRow]) -> dict[UUID, Content]:
    """The contents of videos by their names and tags."""
    return {video_id: content_of(row.user_id, row.name, row.tags) for video_id, row in rows.items()}


async def described(
    repository: SuggestedVideosRepository, about: Content, contents: Mapping[UUID, Content], scores: Collection[UUID]
) -> dict[UUID, Content]:
    """The contents, with descriptions, of candidates that neither ratings nor their names and tags connect to `about`."""
    unconnected = [
        video_id
        for video_id, content in contents.items()
        if video_id not in scores and not ranking.likeness(about, content).score
    ]
    rows = await repository.described(sorted(unconnected)[:_DESCRIBED])
    return {video_id: content_of(row.user_id, row.name, row.tags, row.description) for video_id, row in rows.items()}


def _heaviest(weights: Mapping[Key, float], limit: int) -> list[Key]:
    """The keys of greatest positive weight."""
    return sorted((key for key, weight in weights.items() if weight > 0), key=lambda key: (-weights[key], key))[:limit]
