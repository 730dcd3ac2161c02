"""Candidates by content: videos that share tags, words or the author with a video or with what a person likes."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeVar
from uuid import UUID

from common.time_slices import checkpoint
from services.suggested_videos import ranking
from services.suggested_videos.content import TAG_WEIGHT, WORD_WEIGHT, Comparison, Content, content_of
from services.suggested_videos.held import Held
from services.suggested_videos.rarity import Rarities
from services.suggested_videos.repository import SuggestedVideosRepository
from services.suggested_videos.rows import ContentRow


class ReadLimits(NamedTuple):
    """How much is read for the candidates of one list: so many tags, and videos of each; words; authors; and candidates at the end."""

    tags: int
    of_tag: int
    words: int
    of_word: int
    authors: int
    of_author: int
    candidates: int


FULL = ReadLimits(20, 200, 20, 50, 3, 50, 200)
QUICK = ReadLimits(6, 30, 6, 20, 2, 10, 40)
"""For a list that is made at once while many wait."""

MAX_CANDIDATES = FULL.candidates
"""Candidates whose totals or contents are read."""

MAX_CONTENT_BYTES = 15_000_000
"""What the contents of videos in memory may take, by the estimates below: about 4,000 videos with a dozen tags and words each."""

_CONTENT_BYTES, _ENTRY_BYTES, _CONTENT_SECONDS = 1_500, 150, 600.0
_DESCRIBED = 60

Key = TypeVar("Key", str, UUID)


class Alike(NamedTuple):
    """The videos that share most with a content, best first, and how to compare them with it."""

    video_ids: list[UUID]
    comparison: Comparison


async def of_like_content(
    repository: SuggestedVideosRepository,
    rarities: Rarities,
    about: Content,
    excluded: Collection[UUID],
    limits: ReadLimits = FULL,
) -> Alike:
    """The videos with tags and words in common, rare ones counting more, then those of the same author."""
    tags = _heaviest(about.tags, rarities.of_tag, limits.tags)
    words = _heaviest(about.words, rarities.of_word, limits.words)
    tagged, worded, authored = await asyncio.gather(
        repository.tagged({*tags, *(tag for tag in about.spellings if tag.lower() in tags)}, limits.of_tag),
        repository.with_words(words, limits.of_word),
        repository.of_authors(_heaviest(about.authors, lambda _: 1.0, limits.authors), limits.of_author),
    )
    with_tag: dict[str, dict[UUID, None]] = {tag: {} for tag in tags}
    with_word: dict[str, dict[UUID, None]] = {word: {} for word in words}
    for tag_row in tagged:
        with_tag.setdefault(tag_row.tag.lower(), {})[tag_row.video_id] = None
    for word_row in worded:
        with_word.setdefault(word_row.word, {})[word_row.video_id] = None
    # What was read says how rare these tags and words are, where it is all there is; the sample says it of the others.
    of_tags = {tag: rarities.of_read_tag(tag, len(videos), limits.of_tag) for tag, videos in with_tag.items()}
    of_words = {word: rarities.of_read_word(word, len(videos), limits.of_word) for word, videos in with_word.items()}
    shared: dict[UUID, float] = defaultdict(float)
    for lists, weights, rarity, share in (
        (with_tag, about.tags, of_tags, TAG_WEIGHT),
        (with_word, about.words, of_words, WORD_WEIGHT),
    ):
        for key, video_ids in lists.items():
            await checkpoint()
            weight = share * weights.get(key, 0.0) * rarity[key] ** 2
            for video_id in video_ids:
                shared[video_id] += weight
    await checkpoint()
    best = [video_id for video_id in ranking.best_first(shared) if video_id not in excluded][: limits.candidates]
    listed = {*best, *excluded}
    others = [video_id for video_id in dict.fromkeys(authored) if video_id not in listed]
    comparison = Comparison(about, _known_first(of_tags, rarities.of_tag), _known_first(of_words, rarities.of_word))
    return Alike(best + others, comparison)


def _known_first(known: Mapping[str, float], otherwise: Callable[[str], float]) -> Callable[[str], float]:
    def rarity(key: str) -> float:
        value = known.get(key)
        return otherwise(key) if value is None else value

    return rarity


class Contents:
    """The contents of videos. Taking a text apart costs more than reading it, so those of the videos that come up most are kept in memory."""

    def __init__(self, max_bytes: int = MAX_CONTENT_BYTES) -> None:
        self._held: Held[tuple[ContentRow, Content]] = Held("contents", max_bytes)

    async def of(self, rows: Mapping[UUID, ContentRow]) -> dict[UUID, Content]:
        """The contents of videos by their names and tags, as the rows have them now."""
        known = self._held.known(rows)
        contents: dict[UUID, Content] = {}
        for video_id, row in rows.items():
            await checkpoint()
            if video_id in known and known[video_id][0] == row:
                contents[video_id] = known[video_id][1]
            else:
                contents[video_id] = content = content_of(row.user_id, row.name, row.tags)
                characters = len(row.name or "") + sum(map(len, row.tags or ()))
                size = _CONTENT_BYTES + _ENTRY_BYTES * (len(content.tags) + len(content.words)) + 8 * characters
                self._held.hold(video_id, (row, content), size, _CONTENT_SECONDS)
        return contents


async def described(
    repository: SuggestedVideosRepository,
    comparison: Comparison,
    contents: Mapping[UUID, Content],
    scores: Collection[UUID],
) -> dict[UUID, Content]:
    """The contents, with descriptions, of candidates that neither ratings nor their names and tags connect to what is compared."""
    unconnected: list[UUID] = []
    for video_id, content in contents.items():
        await checkpoint()
        if video_id not in scores and not comparison.score(content):
            unconnected.append(video_id)
    contents_with_descriptions: dict[UUID, Content] = {}
    for video_id, row in (await repository.described(sorted(unconnected)[:_DESCRIBED])).items():
        await checkpoint()
        contents_with_descriptions[video_id] = content_of(row.user_id, row.name, row.tags, row.description)
    return contents_with_descriptions


def _heaviest(weights: Mapping[Key, float], rarity: Callable[[Key], float], limit: int) -> list[Key]:
    """The keys of greatest positive weight, rare ones counting more."""
    found = {key: weight * rarity(key) for key, weight in weights.items() if weight > 0}
    return sorted(found, key=lambda key: (-found[key], key))[:limit]
