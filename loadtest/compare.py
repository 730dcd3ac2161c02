"""Two reports side by side, with a word on noise: figures of one run each say little on a busy machine."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

LEVELS = ("p50", "p99", "p99.9", "max")
NOISE = 0.15
"""A difference below this share is what two runs of the same thing differ by on a machine like this."""


def compare(before_files: list[Path], after_files: list[Path], console: Console) -> None:
    """Print what changed between two summaries; several rounds of each are compared by their medians."""
    before, after = ([json.loads(path.read_text()) for path in paths] for paths in (before_files, after_files))
    for path, figures in zip([*before_files, *after_files], [*before, *after], strict=True):
        if not figures["valid"]:
            console.print(f"[red]{path} is not valid:[/] {'; '.join(figures['problems'])}")
    table = Table()
    for column in ("call", "level", "before ms", "after ms", "change"):
        table.add_column(column, justify="left" if column == "call" else "right")
    for method in sorted(set(before[0]["methods"]) & set(after[0]["methods"])):
        for level in LEVELS:
            old, new = _median(before, method, level), _median(after, method, level)
            change = (new - old) / old if old else 0.0
            table.add_row(
                method if level == "p50" else "",
                level,
                f"{old:.1f}",
                f"{new:.1f}",
                "noise" if abs(change) < NOISE else f"{change:+.0%}",
            )
    console.print(table)
    console.print(
        f"failed calls: {[figures['failed'] for figures in before]} before, {[figures['failed'] for figures in after]} after"
    )
    if min(len(before_files), len(after_files)) < 3:
        console.print(
            f"One or two rounds of each cannot tell a change from noise: on a shared machine p99 differs by more than {NOISE:.0%} between runs of the same "
            "thing. Run several rounds, alternating (A B A B A B), and give all their summaries: A1.json,A2.json,A3.json B1.json,B2.json,B3.json."
        )


def _median(rounds: list[dict[str, Any]], method: str, level: str) -> float:
    return float(
        median(figures["methods"].get(method, {"latency_ms": {}})["latency_ms"].get(level, 0.0) for figures in rounds)
    )
