"""What a run leaves behind: a folder with summary.json, the raw histograms, and one HTML page that a person can read by itself."""

import html
import json
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from loadtest.generator import histogram
from loadtest.run import Result, Second

PERCENTILES = (50, 90, 99, 99.9, 100)
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 900, 170, 60, 34, 28
_COLOURS = ("#1b6ca8", "#2a9d8f", "#e9a23b", "#c8553d", "#7a5195", "#4d4d4d", "#84a98c", "#d4a5a5")


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
    page.write_text(_page(result, figures))
    return page


def _percentiles(of: Any) -> dict[str, float]:
    if not of.get_total_count():
        return {}
    return {("max" if p == 100 else f"p{p:g}"): round(of.get_value_at_percentile(p) / 1000, 2) for p in PERCENTILES}


def _page(result: Result, figures: dict[str, Any]) -> str:
    seconds = [second for second in result.seconds if second.visits or second.outcomes]
    marks = [(begin, what) for begin, _, what, _ in result.steps]
    instances = {
        service.removesuffix("Service"): [float(len(second.instances.get(service, {}))) for second in seconds]
        for service in sorted({name for second in seconds for name in second.instances})
    }
    failed = [float(sum(count for outcome, count in second.outcomes.items() if outcome != "OK")) for second in seconds]
    verdict = "valid" if figures["valid"] else "NOT VALID: " + "; ".join(figures["problems"])
    latency = figures["latency_ms"]
    charts = [
        ("Rate: visits a second asked for and begun, calls a second answered", _chart(seconds, {
            "asked": [second.rate for second in seconds],
            "begun": [float(second.visits) for second in seconds],
            "calls answered": [float(sum(second.outcomes.values())) for second in seconds],
        }, marks)),
        ("Latency in milliseconds, from the moment a call was due (logarithmic)", _chart(seconds, {
            "p50": [second.ms(50) for second in seconds], "p99": [second.ms(99) for second in seconds],
            "p99.9": [second.ms(99.9) for second in seconds], "max": [second.ms(100) for second in seconds],
        }, marks, logarithmic=True)),
        ("Failed calls a second, and visits that could not be sent", _chart(seconds, {
            "failed": failed, "not sent": [float(second.not_sent) for second in seconds],
        }, marks)),
        ("Instances that the callers saw", _chart(seconds, instances, marks)),
        ("Visits under way", _chart(seconds, {"under way": [float(second.in_flight) for second in seconds]}, marks)),
    ]  # fmt: skip
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{each['calls']:,}</td><td>{each['calls'] - each['outcomes'].get('OK', 0):,}</td>"
        + "".join(f"<td>{each['latency_ms'].get(key, 0):,.1f}</td>" for key in ("p50", "p90", "p99", "p99.9", "max"))
        + "</tr>"
        for name, each in figures["methods"].items()
    )
    steps = "".join(
        f"<tr><td>{begin:.0f}–{end:.0f} s</td><td>{html.escape(what)}</td><td>{html.escape(how)}</td></tr>"
        for begin, end, what, how in result.steps
    )
    cpu = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{used:.1f}</td></tr>"
        for name, used in sorted(figures["cpu_seconds"].items(), key=lambda item: -item[1])
    )
    outcomes = ", ".join(f"{html.escape(name)}: {count:,}" for name, count in figures["outcomes"].items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Load test: {html.escape(result.workload.name)}</title>
<style>
 body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2em auto; padding: 0 1em; color: #222 }}
 table {{ border-collapse: collapse; margin: .5em 0 }} td, th {{ padding: .15em .8em; text-align: right; border-bottom: 1px solid #ddd }}
 td:first-child, th:first-child {{ text-align: left }} h2 {{ font-size: 1.05em; margin: 1.4em 0 .2em }} .note {{ color: #555 }}
 .bad {{ color: #b00020; font-weight: 600 }} text {{ font: 11px system-ui, sans-serif; fill: #444 }}
</style>
<h1>Load test “{html.escape(result.workload.name)}”</h1>
<p>{figures["started"]}, {figures["seconds"]} s{", interrupted" if result.interrupted else ""}.
 {figures["calls"]:,} calls in {figures["visits"]:,} visits, <b>{figures["failed"]:,} failed</b> ({outcomes}).
 p50 {latency.get("p50", 0):,.1f} ms, p99 {latency.get("p99", 0):,.1f} ms, p99.9 {latency.get("p99.9", 0):,.1f} ms, worst {latency.get("max", 0):,.1f} ms.
 This run is <span class="{"" if figures["valid"] else "bad"}">{html.escape(verdict)}</span>.</p>
<p class="note">Visits arrive by a Poisson process whether or not earlier ones were answered, and a call's latency counts from the moment it was
 due, so a stall of the system shows in every call that should have been made meanwhile. The generators, the services, Cassandra and etcd
 share this machine's {os.cpu_count()} processors: it saturates early, and the table of processor time below says who used it.</p>
{"".join(f"<h2>{html.escape(title)}</h2>{chart}" for title, chart in charts)}
<h2>Steps</h2><table><tr><th>when</th><th>what</th><th>outcome</th></tr>{steps or "<tr><td colspan=3>none</td></tr>"}</table>
<h2>Calls, latency in milliseconds</h2><table><tr><th>call</th><th>calls</th><th>failed</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr>{rows}</table>
<h2>Processor time by process, seconds</h2><table>{cpu}</table>
<p class="note">Share of a processor that each generator used: {", ".join(f"{share:.0%}" for share in result.generator_cpu) or "not measured"}.</p>
</html>
"""


def _chart(
    seconds: Sequence[Second], series: dict[str, list[float]], marks: list[tuple[float, str]], logarithmic: bool = False
) -> str:
    """Lines over time as an SVG picture, with a dashed line for each step."""
    if not seconds or not series:
        return '<p class="note">nothing to show</p>'
    last = max(seconds[-1].at, 1.0)
    highest = max((value for values in series.values() for value in values), default=0) or 1.0
    even = _even_step(highest)
    if not logarithmic:
        highest = math.ceil(highest / even) * even

    def scale(value: float) -> float:
        if logarithmic:
            return math.log10(max(value, 0.1) / 0.1) / math.log10(max(highest, 1) / 0.1)
        return value / highest

    def x(at: float) -> float:
        return _LEFT + at / last * (_WIDTH - _LEFT - 10)

    def y(value: float) -> float:
        return (_HEIGHT - _BOTTOM) * (1 - scale(value)) + _TOP

    ticks = (
        [10.0**power for power in range(-1, 6) if 10.0**power <= highest]
        if logarithmic
        else [even * part for part in range(round(highest / even) + 1)]
    )
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 40}" width="100%" role="img">']
    for tick in ticks:
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#eee"/><text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:,.4g}</text>'
        )
    for number, (at, what) in enumerate(marks):  # neighbours' words stand one above the other
        line, word, anchor = f"{x(at):.1f}", 11 + 12 * (number % 2), "end" if at > last * 0.9 else "start"
        parts.append(
            f'<line x1="{line}" x2="{line}" y1="{word - 8}" y2="{_HEIGHT - _BOTTOM + _TOP}" stroke="#999" stroke-dasharray="3 3"/>'
            f'<text x="{line}" y="{word}" dx="{-3 if anchor == "end" else 3}" text-anchor="{anchor}">{html.escape(what)}</text>'
        )
    for number, (name, values) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        # A logarithm has no place for 0: where no call ended there is no latency, and the line has a gap.
        shown = groupby(zip(seconds, values, strict=True), key=lambda point: point[1] > 0 or not logarithmic)
        for points in (run for drawn, run in shown if drawn):
            path = " ".join(f"{x(second.at):.1f},{y(value):.1f}" for second, value in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(
            f'<rect x="{_LEFT + number * 120}" y="{_HEIGHT + 18}" width="10" height="10" fill="{colour}"/><text x="{_LEFT + number * 120 + 14}" y="{_HEIGHT + 27}">{html.escape(name)}</text>'
        )
    for part in range(6):
        at = last * part / 5
        parts.append(f'<text x="{x(at):.1f}" y="{_HEIGHT + 6}" text-anchor="middle">{at:.0f} s</text>')
    return "".join(parts) + "</svg>"


def _even_step(highest: float) -> float:
    """The distance of the lines of a chart: 1, 2 or 5 times a power of ten, so that there are about four."""
    power = 10.0 ** math.floor(math.log10(highest / 4))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= highest / 4)
