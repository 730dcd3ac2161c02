"""Queries as people type them, with the videos that they would expect, through the running services, beside BM25 (bm25s).

typed_queries.csv has 150 of them, chosen by hand from the titles of two collections, before anybody saw what search finds. A query is answered if
one of the expected videos is among the first five, and none of the unwanted ones. A query that expects nothing is answered by an empty list.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.quality import killrvideo, known_items
from benchmarks.quality.bm25 import Find, bm25_search
from benchmarks.quality.known_items import Clip
from benchmarks.quality.measures import LENGTH, mean
from client import Services
from protos import search_pb2

FIRST = 5
"""How many videos a person looks at."""

COLLECTIONS = ("killrvideo", "youtube-trending")
_QUERIES = Path(__file__).with_name("typed_queries.csv")


class TypedQuery(NamedTuple):
    """A query, of which kind it is, and which videos a person would expect and must not get."""

    kind: str
    text: str
    expected: frozenset[str]
    unwanted: frozenset[str]


class Judged(NamedTuple):
    """A query, the first ten videos that were found for it, whether they answer it, and 1 / rank of the first expected one (0: not among the ten)."""

    query: TypedQuery
    found: Sequence[str]
    is_answered: bool
    reciprocal_rank: float


def queries(collection: str) -> list[TypedQuery]:
    """The queries on one of the COLLECTIONS."""
    with _QUERIES.open(newline="", encoding="utf-8") as file:
        return [
            TypedQuery(
                row["kind"], row["query"], frozenset(row["expected"].split()), frozenset(row["unwanted"].split())
            )
            for row in csv.DictReader(file)
            if row["collection"] == collection
        ]


def videos(collection: str, folder: Path) -> dict[str, Clip]:
    """The videos of a collection by the ids that the queries name: for youtube-trending those of YouTube."""
    if collection == "killrvideo":
        return {str(clip.video_id): clip for clip in killrvideo.read(folder)}
    return {clip.youtube_id: clip for clip in known_items.read(folder)}


def judged(query: TypedQuery, found: Sequence[str]) -> Judged:
    """How well a list of ids, best first, answers a query."""
    first = found[:FIRST]
    if not query.expected:
        return Judged(query, found, not found, float(not found))
    ranks = [rank for rank, each in enumerate(found[:LENGTH], 1) if each in query.expected]
    is_answered = not query.expected.isdisjoint(first) and query.unwanted.isdisjoint(first)
    return Judged(query, found, is_answered, 1 / ranks[0] if ranks else 0.0)


async def run(folder: Path, collection: str, loaded: bool) -> None:
    """Load a collection, ask, and print what the queries that are not answered found, and the table. Nothing else may be in the database.

    Raises SystemExit if the services find a video that is not of the collection: what is expected was judged without such videos.
    """
    clips = videos(collection, folder)
    keys = {str(clip.video_id): key for key, clip in clips.items()}
    console = Console(width=120)
    async with Services.from_settings() as services:
        if not loaded:
            await known_items.load(services, [*clips.values()])

        async def ours(text: str) -> list[str]:
            answer = await services.search.SearchVideos(search_pb2.SearchVideosRequest(query=text, page_size=LENGTH))
            found = [video.video_id.value for video in answer.videos]
            if others := [each for each in found if each not in keys]:
                raise SystemExit(f"the database has videos that are not of {collection}: {others[0]}")
            return [keys[each] for each in found]

        asked = queries(collection)
        methods = {"ours": await _answers(ours, asked)}
    if bm25 := bm25_search([clip.text for clip in clips.values()], list(clips), LENGTH):
        methods["BM25 (bm25s)"] = await _answers(bm25, asked)
    for each in methods["ours"]:
        if not each.is_answered:
            console.print(f"not answered: {each.query.text} ({each.query.kind})", markup=False, highlight=False)
            for key in each.found[:FIRST]:
                console.print(f"    {clips[key].title}", markup=False, highlight=False)
    console.print(table(collection, methods))


async def _answers(find: Find, asked: Sequence[TypedQuery]) -> list[Judged]:
    return [judged(query, await find(query.text)) for query in asked]


def table(title: str, methods: Mapping[str, Sequence[Judged]]) -> Table:
    """The shares of answered queries and MRR@10, by kind of query and in all, of each method."""
    made = Table("kind", "queries", title=title)
    kinds: dict[str, list[list[Judged]]] = defaultdict(list)
    for name, answers in methods.items():
        made.add_column(f"{name}: answered")
        made.add_column(f"MRR@{LENGTH}")
        for kind in dict.fromkeys(each.query.kind for each in answers):
            kinds[kind].append([each for each in answers if each.query.kind == kind])
        kinds["all"].append([*answers])
    everything = kinds.pop("all")
    for kind, rows in [*kinds.items(), ("all", everything)]:
        shares = [
            (mean([each.is_answered for each in row]), mean([each.reciprocal_rank for each in row])) for row in rows
        ]
        made.add_row(kind, str(len(rows[0])), *(f"{share:.3f}" for pair in shares for share in pair))
    return made
