"""Candidates by content: videos that share tags, words or the author with a video or with what a person likes."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TypeVar
from uuid import UUID

from common.time_slices import checkpoint
from services.suggested_videos import ranking
from services.suggested_videos.ranking import Content, content_of
from services.suggested_videos.repository import ContentRow, SuggestedVideosRepository

MAX_CANDIDATES = 200
"""Candidates whose totals or contents are read."""

_TAGS, _VIDEOS_OF_TAG = 20, 200
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
    shared: dict[UUID, float] = defaultdict(float)
    with_tag, with_word = defaultdict(list), defaultdict(list)
    for tag_row in tagged:
        with_tag[tag_row.tag.lower()].append(tag_row.video_id)
    for word_row in worded:
        with_word[word_row.word].append(word_row.video_id)
    for lists, weights, share in ((with_tag, about.tags, 1.0), (with_word, about.words, _WORD_WEIGHT)):
        for key, video_ids in lists.items():
            await checkpoint()
            weight = share * weights.get(key, 0.0) / (1 + len(video_ids)) ** _RARITY
            for video_id in video_ids:
                shared[video_id] += weight
    await checkpoint()
    best = [video_id for video_id in ranking.best_first(shared) if video_id not in excluded][:MAX_CANDIDATES]
    others = [video_id for video_id in dict.fromkeys(authored) if video_id not in excluded and video_id not in shared]
    return best + others


async def contents_of(rows: Mapping[UUID, ContentRow]) -> dict[UUID, Content]:
    """The contents of videos by their names and tags."""
    contents: dict[UUID, Content] = {}
    for video_id, row in rows.items():
        await checkpoint()
        contents[video_id] = content_of(row.user_id, row.name, row.tags)
    return contents


async def described(
    repository: SuggestedVideosRepository, about: Content, contents: Mapping[UUID, Content], scores: Collection[UUID]
) -> dict[UUID, Content]:
    """The contents, with descriptions, of candidates that neither ratings nor their names and tags connect to `about`."""
    unconnected: list[UUID] = []
    for video_id, content in contents.items():
        await checkpoint()
        if video_id not in scores and not ranking.likeness(about, content).score:
            unconnected.append(video_id)
    contents_with_descriptions: dict[UUID, Content] = {}
    for video_id, row in (await repository.described(sorted(unconnected)[:_DESCRIBED])).items():
        await checkpoint()
        contents_with_descriptions[video_id] = content_of(row.user_id, row.name, row.tags, row.description)
    return contents_with_descriptions


def _heaviest(weights: Mapping[Key, float], limit: int) -> list[Key]:
    """The keys of greatest positive weight."""
    return sorted((key for key, weight in weights.items() if weight > 0), key=lambda key: (-weights[key], key))[:limit]
