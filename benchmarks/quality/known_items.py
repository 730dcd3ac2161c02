"""Known-item search on the titles of youtube-trending (videos.csv), through the running services, beside BM25 (bm25s).

For each title its two or three rarest words are asked for: plain, in upper case, without accents, with one word mistyped, with every word
mistyped. The measure is the mean of 1 / rank among the first ten (MRR@10). A video of the same title counts as the one
that was asked for.
"""

import asyncio
import csv
import random
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.quality.bm25 import Find, bm25_search
from benchmarks.quality.measures import LENGTH
from client import Services
from language.text import STOP_WORDS, folded, words
from protos import search_pb2, video_catalog_pb2
from protos.common_pb2 import Uuid

SEED = 7
_AT_ONCE = 8
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SUBMITTER = uuid5(NAMESPACE_URL, "killrvideo:known-item search")


@dataclass(frozen=True)
class Clip:
    """A video of a collection, as it is submitted."""

    video_id: UUID
    user_id: UUID
    youtube_id: str
    title: str
    tags: tuple[str, ...]
    description: str

    @property
    def text(self) -> str:
        """The text of all fields, for a method that has no fields."""
        return " ".join((self.title, *self.tags, self.description))


def read(folder: Path) -> list[Clip]:
    """The videos of a folder in the form of youtube-trending. Their ids are the same in every run, so that a second run changes nothing."""
    with (folder / "videos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Clip(
            uuid5(NAMESPACE_URL, f"killrvideo:known-item search:{row['youtube_id']}"),
            _SUBMITTER,
            row["youtube_id"],
            row["title"],
            tuple(row["tags"].split("|"))[:100],
            row["description"],
        )
        for row in rows
    ]


async def load(services: Services, clips: Sequence[Clip]) -> None:
    """Submit the videos, eight at once."""
    for start in track(range(0, len(clips), _AT_ONCE), "submitting", console=Console(stderr=True)):
        await asyncio.gather(*(_submit(services, clip) for clip in clips[start : start + _AT_ONCE]))


def questions(clips: Sequence[Clip]) -> dict[str, list[tuple[str, str]]]:
    """By kind of question: what is asked, and the title it is asked for."""
    chance = random.Random(SEED)
    title_counts = Counter(word for clip in clips for word in set(folded(clip.title)))
    asked: dict[str, list[tuple[str, str]]] = {}
    for clip in clips:
        candidates = [word for word in dict.fromkeys(words(clip.title)) if len(word) > 2 and word not in STOP_WORDS]
        candidates.sort(key=lambda word: sum(title_counts[part] for part in folded(word)))
        rarest = candidates[: chance.choice((2, 3))]
        if len(rarest) < 2:
            continue
        mistyped_number = chance.randrange(len(rarest))
        kinds = {
            "plain": rarest,
            "upper case": [word.upper() for word in rarest],
            "without accents": [_without_accents(word) for word in rarest],
            "one word mistyped": [
                mistyped(word, chance) if number == mistyped_number else word for number, word in enumerate(rarest)
            ],
            "every word mistyped": [mistyped(word, chance) for word in rarest],
        }
        for kind, sent in kinds.items():
            asked.setdefault(kind, []).append((" ".join(sent), clip.title))
    return asked


def mistyped(word: str, chance: random.Random) -> str:
    """A word with a letter left out, added or replaced, or two neighbours swapped."""
    index = chance.randrange(len(word) - 1)
    return chance.choice(
        (
            word[:index] + word[index + 1 :],
            word[:index] + chance.choice(_LETTERS) + word[index:],
            word[:index] + chance.choice(_LETTERS) + word[index + 1 :],
            word[:index] + word[index + 1] + word[index] + word[index + 2 :],
        )
    )


async def run(folder: Path, loaded: bool) -> None:
    """Load the collection, ask, and print the table."""
    clips = read(folder)
    asked = questions(clips)
    console = Console()
    async with Services.from_settings() as services:
        if not loaded:
            await load(services, clips)
        titles = {str(clip.video_id): clip.title for clip in clips}

        async def ours(query: str) -> list[str]:
            request = search_pb2.SearchVideosRequest(query=query[:500], page_size=LENGTH)
            answer = await services.search.SearchVideos(request)
            return [titles.get(video.video_id.value, video.name) for video in answer.videos]

        table = Table("MRR@10", "ours", "BM25 (bm25s)", title=f"{len(asked['plain'])} titles")
        bm25 = bm25_search([clip.text for clip in clips], [clip.title for clip in clips], LENGTH)
        for kind, pairs in asked.items():
            table.add_row(
                kind, f"{await _mrr(ours, pairs):.3f}", f"{await _mrr(bm25, pairs):.3f}" if bm25 else "not installed"
            )
    console.print(table)


async def _submit(services: Services, clip: Clip) -> None:
    await services.video_catalog.SubmitYouTubeVideo(
        video_catalog_pb2.SubmitYouTubeVideoRequest(
            video_id=Uuid(value=str(clip.video_id)),
            user_id=Uuid(value=str(clip.user_id)),
            name=clip.title,
            description=clip.description,
            tags=clip.tags,
            you_tube_video_id=clip.youtube_id,
        )
    )


async def _mrr(find: Find, pairs: Sequence[tuple[str, str]]) -> float:
    total = 0.0
    for query, title in pairs:
        found = await find(query)
        total += 1 / (found.index(title) + 1) if title in found else 0.0
    return total / len(pairs)


def _without_accents(text: str) -> str:
    return "".join(
        character for character in unicodedata.normalize("NFD", text) if not unicodedata.combining(character)
    )
