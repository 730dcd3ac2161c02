"""Questions with judged answers, through the running services, beside BM25 with the same stemming (bm25s).

FOLDER holds documents.csv (id, title, text), questions.csv (id, text) and judgements.csv (question, document, grade). Each document is submitted
as a video: its title as the name, its text as the description (or both as the description, where there is no title). What counts is how far
up the documents judged relevant stand: nDCG and MRR of the first ten, the mean average precision of the first 300.
"""

import asyncio
import csv
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.quality.known_items import telling
from benchmarks.quality.measures import mean
from client import Services
from protos import search_pb2, video_catalog_pb2
from protos.common_pb2 import Uuid

FIRST, DEPTH = 10, 300
MOST_CHARACTERS, MOST_DESCRIPTION, MOST_NAME = 500, 20_000, 1_000
_AT_ONCE = 8
_SUBMITTER = uuid5(NAMESPACE_URL, "killrvideo:judged search")

Find = Callable[[str], Awaitable[list[str]]]


class Collection(NamedTuple):
    """Documents (title and text), questions, and the grades of the documents judged for each question, all by id."""

    documents: dict[str, tuple[str, str]]
    questions: dict[str, str]
    grades: dict[str, dict[str, int]]


def read(folder: Path) -> Collection:
    """The collection of a folder."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for row in _rows(folder / "judgements.csv"):
        if int(row["grade"]) > 0:
            grades[row["question"]][row["document"]] = int(row["grade"])
    documents = {row["id"]: (row["title"], row["text"]) for row in _rows(folder / "documents.csv")}
    questions = {row["id"]: row["text"] for row in _rows(folder / "questions.csv") if row["id"] in grades}
    return Collection(documents, questions, grades)


def _rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def run(folder: Path, loaded: bool) -> None:
    """Load the collection, ask, and print the table."""
    collection = read(folder)
    ids = {str(_video_id(each)): each for each in collection.documents}
    async with Services.from_settings() as services:
        if not loaded:
            listed = list(collection.documents)
            for at in track(range(0, len(listed), _AT_ONCE), "submitting", console=Console(stderr=True)):
                await asyncio.gather(
                    *(_submit(services, each, *collection.documents[each]) for each in listed[at : at + _AT_ONCE])
                )

        async def ours(query: str) -> list[str]:
            request = search_pb2.SearchVideosRequest(query=query[:MOST_CHARACTERS], page_size=DEPTH)
            answer = await services.search.SearchVideos(request, timeout=30)
            return [ids[row.video_id.value] for row in answer.videos if row.video_id.value in ids]

        title = f"{len(collection.documents)} documents, {len(collection.questions)} questions"
        table = Table("", f"nDCG@{FIRST}", "MAP", f"MRR@{FIRST}", title=title)
        table.add_row("ours", *await _measures(ours, collection))
        bm25 = _bm25(collection)
        if bm25:
            table.add_row("BM25 (bm25s)", *await _measures(bm25, collection))
    Console(width=100).print(table)


async def _measures(find: Find, collection: Collection) -> list[str]:
    each = [_of_one(await find(text), collection.grades[key]) for key, text in collection.questions.items()]
    return [f"{mean(column):.3f}" for column in zip(*each, strict=True)]


def _of_one(found: Sequence[str], grades: dict[str, int]) -> tuple[float, float, float]:
    """nDCG, average precision and reciprocal rank of one list."""
    ideal = sum(_gain(grade, at) for at, grade in enumerate(sorted(grades.values(), reverse=True)[:FIRST]))
    gain = sum(_gain(grades.get(each, 0), at) for at, each in enumerate(found[:FIRST]))
    right = [at for at, each in enumerate(found) if each in grades]
    precision = sum((count + 1) / (at + 1) for count, at in enumerate(right)) / len(grades)
    return gain / ideal, precision, 1 / (right[0] + 1) if right and right[0] < FIRST else 0.0


def _gain(grade: int, at: int) -> float:
    return float(2**grade - 1) / math.log2(at + 2)


def _video_id(document: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"killrvideo:judged search:{document}")


async def _submit(services: Services, document: str, title: str, text: str) -> None:
    await services.video_catalog.SubmitYouTubeVideo(
        video_catalog_pb2.SubmitYouTubeVideoRequest(
            video_id=Uuid(value=str(_video_id(document))),
            user_id=Uuid(value=str(_SUBMITTER)),
            name=title.strip()[:MOST_NAME] or "-",
            description=text[:MOST_DESCRIPTION],
            you_tube_video_id=document,
        ),
        timeout=30,
    )


def _bm25(collection: Collection) -> Find | None:
    """BM25 over title and text, with our stemming; None where bm25s (requirements-bench.txt) is not installed."""
    try:
        import bm25s  # type: ignore[import-not-found, import-untyped, unused-ignore]  # optional: requirements-bench.txt
    except ImportError:
        return None
    index = bm25s.BM25(k1=1.2, b=0.75)
    documents = list(collection.documents)
    index.index([telling(" ".join(text)) for text in collection.documents.values()], show_progress=False)

    async def find(query: str) -> list[str]:
        known = [word for word in telling(query) if word in index.vocab_dict]
        if not known:
            return []
        places, scores = index.retrieve([known], k=min(DEPTH, len(documents)), show_progress=False)
        return [documents[place] for place, score in zip(places[0], scores[0], strict=True) if score > 0]

    return find
