"""The talks and tutorials of killrvideo-data (github.com/KillrVideo/killrvideo-data, data/csv), which have ids and submitters already."""

import csv
import json
from pathlib import Path
from uuid import UUID

from benchmarks.quality.known_items import Clip


def read(folder: Path) -> list[Clip]:
    """The videos of a folder: videos.csv with the columns videoid, userid, location, name, tags (as {"one","two"}) and description."""
    with (folder / "videos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Clip(
            UUID(row["videoid"]),
            UUID(row["userid"]),
            row["location"].rsplit("/", 1)[-1],
            row["name"],
            tuple(json.loads(f"[{row['tags'].strip('{}')}]")),
            row["description"],
        )
        for row in rows
    ]
