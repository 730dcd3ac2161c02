"""Questions with judged answers, through the running services, beside BM25 with the same stemming (bm25s).

FOLDER holds documents.csv (id, title, text), questions.csv (id, text) and judgements.csv (question, document, grade). Each document is submitted
as a video: its title as the name, its text as the description (or both as the description, where there is no title). The measures
are nDCG and MRR of the first ten answers and the mean average precision of the first 300.
"""

import asyncio
import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.quality.bm25 import Find, bm25_search
from benchmarks.quality.measures import mean
from client import Services
from protos import search_pb2, video_catalog_pb2
from protos.common_pb2 import Uuid

FIRST, DEPTH = 10, 300
MAX_QUERY, MAX_DESCRIPTION, MAX_NAME = 500, 20_000, 1_000
_AT_ONCE = 8
_SUBMITTER = uuid5(NAMESPACE_URL, "killrvideo:judged search")


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
    ids = {str(_video_id(document)): document for document in collection.documents}
    async with Services.from_settings() as services:
        if not loaded:
            documents = list(collection.documents.items())
            for start in track(range(0, len(documents), _AT_ONCE), "submitting", console=Console(stderr=True)):
                some = documents[start : start + _AT_ONCE]
                await asyncio.gather(*(_submit(services, document, *texts) for document, texts in some))

        async def ours(query: str) -> list[str]:
            request = search_pb2.SearchVideosRequest(query=query[:MAX_QUERY], page_size=DEPTH)
            answer = await services.search.SearchVideos(request, timeout=30)
            return [ids[row.video_id.value] for row in answer.videos if row.video_id.value in ids]

        title = f"{len(collection.documents)} documents, {len(collection.questions)} questions"
        table = Table("", f"nDCG@{FIRST}", "MAP", f"MRR@{FIRST}", title=title)
        table.add_row("ours", *await _measures(ours, collection))
        texts = [" ".join(document) for document in collection.documents.values()]
        bm25 = bm25_search(texts, list(collection.documents), DEPTH)
        if bm25:
            table.add_row("BM25 (bm25s)", *await _measures(bm25, collection))
    Console(width=100).print(table)


async def _measures(find: Find, collection: Collection) -> list[str]:
    rows = [_measure(await find(text), collection.grades[key]) for key, text in collection.questions.items()]
    return [f"{mean(column):.3f}" for column in zip(*rows, strict=True)]


def _measure(found: Sequence[str], grades: dict[str, int]) -> tuple[float, float, float]:
    """nDCG, average precision and reciprocal rank of one list."""
    ideal = sum(_gain(grade, rank) for rank, grade in enumerate(sorted(grades.values(), reverse=True)[:FIRST], 1))
    gain = sum(_gain(grades.get(document, 0), rank) for rank, document in enumerate(found[:FIRST], 1))
    relevant = [rank for rank, document in enumerate(found, 1) if document in grades]
    precision = sum(count / rank for count, rank in enumerate(relevant, 1)) / len(grades)
    return gain / ideal, precision, 1 / relevant[0] if relevant and relevant[0] <= FIRST else 0.0


def _gain(grade: int, rank: int) -> float:
    return float(2**grade - 1) / math.log2(rank + 1)


def _video_id(document: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"killrvideo:judged search:{document}")


async def _submit(services: Services, document: str, title: str, text: str) -> None:
    await services.video_catalog.SubmitYouTubeVideo(
        video_catalog_pb2.SubmitYouTubeVideoRequest(
            video_id=Uuid(value=str(_video_id(document))),
            user_id=Uuid(value=str(_SUBMITTER)),
            name=title.strip()[:MAX_NAME] or "-",
            description=text[:MAX_DESCRIPTION],
            you_tube_video_id=document,
        ),
        timeout=30,
    )
