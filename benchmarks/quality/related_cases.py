"""Related videos that people would expect, through the running services, on the talks and tutorials of killrvideo-data.

related_cases.csv has 30 videos, chosen by hand, and for each the videos of its series or of its topic. The measure is how many of the first five are
among them, as a share of five, or of as many as are expected if they are fewer.
"""

import csv
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.quality import killrvideo, known_items
from benchmarks.quality.measures import mean
from client import Services
from protos import suggested_videos_pb2
from protos.common_pb2 import Uuid

FIRST = 5
"""How many videos a page shows beside a video."""

_CASES = Path(__file__).with_name("related_cases.csv")


def cases() -> dict[str, frozenset[str]]:
    """The videos that are asked for, and which ones are expected beside each."""
    with _CASES.open(newline="", encoding="utf-8") as file:
        return {row["video"]: frozenset(row["expected"].split()) for row in csv.DictReader(file)}


def precision(found: list[str], expected: frozenset[str]) -> float:
    """The share of the first five that is expected; of as many as are expected, if they are fewer."""
    return len(expected.intersection(found[:FIRST])) / min(FIRST, len(expected))


async def run(folder: Path, loaded: bool) -> None:
    """Load the collection, ask, and print the precision of each case and their mean. Nothing else may be in the database."""
    clips = killrvideo.read(folder)
    titles = {str(clip.video_id): clip.title for clip in clips}
    table = Table("video", f"precision@{FIRST}", title="related videos")
    async with Services.from_settings() as services:
        if not loaded:
            await known_items.load(services, clips)
        precisions = {}
        for video, expected in cases().items():
            request = suggested_videos_pb2.GetRelatedVideosRequest(video_id=Uuid(value=video), page_size=FIRST)
            answer = await services.suggested_videos.GetRelatedVideos(request, timeout=30)
            precisions[video] = precision([row.video_id.value for row in answer.videos], expected)
            table.add_row(titles[video], f"{precisions[video]:.2f}")
    table.add_section()
    table.add_row("all", f"{mean([*precisions.values()]):.3f}")
    Console(width=120).print(table)
