"""The report's HTML page: one file that needs no other, with charts over time and tables."""

import html
import os
from typing import Any

from loadtest.chart import chart
from loadtest.results import Result


def page_of(result: Result, figures: dict[str, Any]) -> str:
    """The page of a run. `figures` is the run's summary."""
    verdict = "valid" if figures["valid"] else "NOT VALID: " + "; ".join(figures["problems"])
    latency = figures["latency_ms"]
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
{"".join(f"<h2>{html.escape(title)}</h2>{chart}" for title, chart in _charts(result))}
<h2>Steps</h2><table><tr><th>when</th><th>what</th><th>outcome</th></tr>{_step_rows(result)}</table>
<h2>Calls, latency in milliseconds</h2><table><tr><th>call</th><th>calls</th><th>failed</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr>{_call_rows(figures)}</table>
<h2>Processor time by process, seconds</h2><table>{_cpu_rows(figures)}</table>
<p class="note">Share of a processor that each generator used: {", ".join(f"{share:.0%}" for share in result.generator_cpu) or "not measured"}.</p>
</html>
"""


def _charts(result: Result) -> list[tuple[str, str]]:
    """The charts of a run, each with its title."""
    seconds = [second for second in result.seconds if second.visits or second.outcomes]
    times = [second.number for second in seconds]
    steps = [(step.begin, step.do) for step in result.steps]
    instances = {
        service.removesuffix("Service"): [float(len(second.instances.get(service, {}))) for second in seconds]
        for service in sorted({name for second in seconds for name in second.instances})
    }
    rate = {
        "asked": [second.rate for second in seconds],
        "begun": [float(second.visits) for second in seconds],
        "calls answered": [float(second.outcomes.total()) for second in seconds],
    }
    latency = {
        name: [second.ms(percentile) for second in seconds]
        for name, percentile in (("p50", 50), ("p99", 99), ("p99.9", 99.9), ("max", 100))
    }
    failures = {
        "failed": [float(second.failed) for second in seconds],
        "not sent": [float(second.not_sent) for second in seconds],
    }
    under_way = {"under way": [float(second.in_flight) for second in seconds]}
    return [
        ("Rate: visits a second asked for and begun, calls a second answered", chart(times, rate, steps)),
        (
            "Latency in milliseconds, from the moment a call was due (logarithmic)",
            chart(times, latency, steps, logarithmic=True),
        ),
        ("Failed calls a second, and visits that could not be sent", chart(times, failures, steps)),
        ("Instances that the callers saw", chart(times, instances, steps)),
        ("Visits under way", chart(times, under_way, steps)),
    ]


def _call_rows(figures: dict[str, Any]) -> str:
    return "".join(
        f"<tr><td>{html.escape(name)}</td><td>{call['calls']:,}</td><td>{call['calls'] - call['outcomes'].get('OK', 0):,}</td>"
        + "".join(f"<td>{call['latency_ms'].get(key, 0):,.1f}</td>" for key in ("p50", "p90", "p99", "p99.9", "max"))
        + "</tr>"
        for name, call in figures["methods"].items()
    )


def _step_rows(result: Result) -> str:
    rows = "".join(
        f"<tr><td>{step.begin:.0f}–{step.end:.0f} s</td><td>{html.escape(step.do)}</td><td>{html.escape(step.outcome)}</td></tr>"
        for step in result.steps
    )
    return rows or "<tr><td colspan=3>none</td></tr>"


def _cpu_rows(figures: dict[str, Any]) -> str:
    by_use = sorted(figures["cpu_seconds"].items(), key=lambda process: -process[1])
    return "".join(f"<tr><td>{html.escape(name)}</td><td>{used:.1f}</td></tr>" for name, used in by_use)
