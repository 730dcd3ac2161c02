"""What a run leaves behind: a folder with summary.json, the raw histograms, and one HTML page that a person can read by itself."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from loadtest.generator import histogram
from loadtest.page import page_of
from loadtest.run import Result

PERCENTILES = (50, 90, 99, 99.9, 100)


def summary(result: Result) -> dict[str, Any]:
    """The figures of a run as plain data. Times in milliseconds, from the moment a call was due."""
    whole = histogram()
    for each in result.methods.values():
        whole.add(each)
    return {
        "workload": result.workload.model_dump(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(result.started)),
        "seconds": len(result.seconds),
        "valid": not result.problems,
        "problems": result.problems,
        "interrupted": result.interrupted,
        "visits": sum(second.visits for second in result.seconds),
        "not_sent": result.not_sent,
        "calls": result.calls,
        "failed": result.failed,
        "outcomes": dict(sum((counts for counts in result.outcomes.values()), Counter())),
        "latency_ms": _percentiles(whole),
        "methods": {
            name: {
                "calls": sum(result.outcomes[name].values()),
                "outcomes": dict(result.outcomes[name]),
                "latency_ms": _percentiles(each),
            }
            for name, each in sorted(result.methods.items())
        },
        "steps": [
            {"begin": begin, "end": end, "do": what, "outcome": outcome} for begin, end, what, outcome in result.steps
        ],
        "cpu_seconds": result.cpu,
        "generator_cpu_share": [round(share, 3) for share in result.generator_cpu],
    }


def write(result: Result, folder: Path) -> Path:
    """Write the folder and return the path of its page."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = summary(result)
    (folder / "summary.json").write_text(json.dumps(figures, indent=2) + "\n")
    raw = {name: each.encode().decode() for name, each in result.methods.items()}
    by_second = [
        {"at": second.at, "outcomes": dict(second.outcomes), "latencies": second.latencies.encode().decode()}
        for second in result.seconds
    ]
    (folder / "histograms.json").write_text(json.dumps({"methods": raw, "seconds": by_second}) + "\n")
    page = folder / "report.html"
    page.write_text(page_of(result, figures))
    return page


def _percentiles(of: Any) -> dict[str, float]:
    if not of.get_total_count():
        return {}
    return {("max" if p == 100 else f"p{p:g}"): round(of.get_value_at_percentile(p) / 1000, 2) for p in PERCENTILES}
