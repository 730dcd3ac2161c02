"""The report of a run: a folder with summary.json, the raw histograms, and one HTML page that a person can read by itself."""

import json
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtest.histograms import encode, new_histogram, percentile_ms
from loadtest.page import page_of
from loadtest.results import Result

PERCENTILES = (50, 90, 99, 99.9, 100)


def summary(result: Result) -> dict[str, Any]:
    """The figures of a run as plain data. Latencies in milliseconds, from the time when a call was due."""
    whole = new_histogram()
    for latencies in result.methods.values():
        whole.add(latencies)
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
                "latency_ms": _percentiles(latencies),
            }
            for name, latencies in sorted(result.methods.items())
        },
        "steps": [asdict(step) for step in result.steps],
        "cpu_seconds": result.cpu,
        "generator_cpu_share": [round(share, 3) for share in result.generator_cpu],
    }


def write(result: Result, folder: Path) -> Path:
    """Write the folder and return the path of its page."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = summary(result)
    (folder / "summary.json").write_text(json.dumps(figures, indent=2) + "\n")
    raw = {name: encode(latencies) for name, latencies in result.methods.items()}
    by_second = [
        {"at": float(second.number), "outcomes": dict(second.outcomes), "latencies": encode(second.latencies)}
        for second in result.seconds
    ]
    (folder / "histograms.json").write_text(json.dumps({"methods": raw, "seconds": by_second}) + "\n")
    page = folder / "report.html"
    page.write_text(page_of(result, figures))
    return page


def _percentiles(latencies: HdrHistogram) -> dict[str, float]:
    if not latencies.get_total_count():
        return {}
    return {
        ("max" if percentile == 100 else f"p{percentile:g}"): round(percentile_ms(latencies, percentile), 2)
        for percentile in PERCENTILES
    }
