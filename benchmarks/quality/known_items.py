"""Known-item search on the titles of youtube-trending (videos.csv), through the running services, beside BM25 (bm25s).

For each title its two or three rarest words are asked for: plain, in upper case, without accents, with one word mistyped, with every word
mistyped. What counts is how far up the video stands: the mean of 1 / rank among the first ten (MRR@10). A video of the same title counts
as the one asked for.
"""

import asyncio
import csv
import random
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from rich.console import Console
from rich.progress import track
from rich.table import Table

from client import Services
from language.text import STOP_WORDS, folded, terms, words
from protos import search_pb2, video_catalog_pb2
from protos.common_pb2 import Uuid

LENGTH = 10
SEED = 7
_AT_ONCE = 8
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SUBMITTER = uuid5(NAMESPACE_URL, "killrvideo:known-item search")


@dataclass(frozen=True)
class Clip:
    """A video of the collection."""

    youtube_id: str
    title: str
    tags: tuple[str, ...]
    description: str

    @property
    def video_id(self) -> UUID:
        """The same in every run, so that a second one changes nothing."""
        return uuid5(NAMESPACE_URL, f"killrvideo:known-item search:{self.youtube_id}")

    @property
    def text(self) -> str:
        """All of it, for a method that knows no fields."""
        return " ".join((self.title, *self.tags, self.description))


def read(folder: Path) -> list[Clip]:
    """The videos of a folder in the form of youtube-trending."""
    with (folder / "videos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Clip(row["youtube_id"], row["title"], tuple(row["tags"].split("|"))[:100], row["description"]) for row in rows
    ]


def questions(clips: Sequence[Clip]) -> dict[str, list[tuple[str, str]]]:
    """By kind of question: what is asked, and the title it is asked for."""
    chance = random.Random(SEED)
    titles_with = Counter(word for clip in clips for word in set(folded(clip.title)))
    asked: dict[str, list[tuple[str, str]]] = {}
    for clip in clips:
        telling = [word for word in dict.fromkeys(words(clip.title)) if len(word) > 2 and word not in STOP_WORDS]
        telling.sort(key=lambda word: sum(titles_with[part] for part in folded(word)))
        chosen = telling[: chance.choice((2, 3))]
        if len(chosen) < 2:
            continue
        one = chance.randrange(len(chosen))
        kinds = {
            "plain": chosen,
            "upper case": [word.upper() for word in chosen],
            "without accents": [_without_accents(word) for word in chosen],
            "one word mistyped": [mistyped(word, chance) if at == one else word for at, word in enumerate(chosen)],
            "every word mistyped": [mistyped(word, chance) for word in chosen],
        }
        for kind, sent in kinds.items():
            asked.setdefault(kind, []).append((" ".join(sent), clip.title))
    return asked


def mistyped(word: str, chance: random.Random) -> str:
    """A word with a letter left out, added or replaced, or two neighbours swapped."""
    at = chance.randrange(len(word) - 1)
    return chance.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + chance.choice(_LETTERS) + word[at:],
            word[:at] + chance.choice(_LETTERS) + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )


async def run(folder: Path, loaded: bool) -> None:
    """Load the collection, ask, and print the table."""
    clips = read(folder)
    asked = questions(clips)
    console = Console()
    async with Services.from_settings() as services:
        if not loaded:
            for at in track(range(0, len(clips), _AT_ONCE), description="submitting"):
                await asyncio.gather(*(_submit(services, clip) for clip in clips[at : at + _AT_ONCE]))
        titles = {str(clip.video_id): clip.title for clip in clips}

        async def ours(query: str) -> list[str]:
            request = search_pb2.SearchVideosRequest(query=query[:500], page_size=LENGTH)
            answer = await services.search.SearchVideos(request)
            return [titles.get(video.video_id.value, video.name) for video in answer.videos]

        table = Table("MRR@10", "ours", "BM25 (bm25s)", title=f"{len(asked['plain'])} titles")
        bm25 = _bm25(clips)
        for kind, pairs in asked.items():
            table.add_row(
                kind, f"{await _mrr(ours, pairs):.3f}", f"{await _mrr(bm25, pairs):.3f}" if bm25 else "not installed"
            )
    console.print(table)


async def _submit(services: Services, clip: Clip) -> None:
    await services.video_catalog.SubmitYouTubeVideo(
        video_catalog_pb2.SubmitYouTubeVideoRequest(
            video_id=Uuid(value=str(clip.video_id)),
            user_id=Uuid(value=str(_SUBMITTER)),
            name=clip.title,
            description=clip.description,
            tags=clip.tags,
            you_tube_video_id=clip.youtube_id,
        )
    )


async def _mrr(find: Callable[[str], Awaitable[list[str]]], pairs: Sequence[tuple[str, str]]) -> float:
    total = 0.0
    for query, title in pairs:
        found = await find(query)
        total += 1 / (found.index(title) + 1) if title in found else 0.0
    return total / len(pairs)


def _bm25(clips: Sequence[Clip]) -> Callable[[str], Awaitable[list[str]]] | None:
    """BM25 over all the text of each video, with our stemming; None where bm25s (requirements-bench.txt) is not installed."""
    try:
        import bm25s  # type: ignore[import-not-found, import-untyped, unused-ignore]  # optional: requirements-bench.txt
    except ImportError:
        return None
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index([telling(clip.text) for clip in clips], show_progress=False)

    async def find(query: str) -> list[str]:
        tokens = telling(query)
        if not tokens:
            return []
        places, scores = index.retrieve([tokens], k=LENGTH, show_progress=False)
        return [clips[place].title for place, score in zip(places[0], scores[0], strict=True) if score > 0]

    return find


def telling(text: str) -> list[str]:
    """The words of a text as BM25 is given them: stemmed, without stop words."""
    return [term for word in folded(text) if word not in STOP_WORDS for term in terms(word)]


def _without_accents(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
