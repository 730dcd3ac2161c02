"""The view on the terminal while a run lasts: rate asked and done, latency, failures, instances and their calls."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.results import OK, Result, Second

_MAX_SECONDS_SHOWN = 12
_MAX_STEPS_SHOWN = 4
_COLUMNS = (
    "second",
    "visits asked",
    "begun",
    "not sent",
    "calls ok",
    "failed",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "under way",
)


def view(result: Result) -> RenderableType:
    """The last seconds of a run, the instances as the callers see them, and the last steps."""
    steps = [Text(f"{step.begin:6.1f} s  {step.do}: {step.outcome}") for step in result.steps[-_MAX_STEPS_SHOWN:]]
    return Group(_seconds(result), _instances(result.seconds[-1] if result.seconds else None), *steps)


def _seconds(result: Result) -> Table:
    table = Table(title=f"load test “{result.workload.name}”", expand=False)
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for second in result.seconds[-_MAX_SECONDS_SHOWN:]:
        table.add_row(
            f"{second.number}/{result.workload.seconds:.0f}",
            f"{second.rate:.0f}",
            str(second.visits),
            _red_unless_zero(second.not_sent),
            str(second.outcomes[OK]),
            _red_unless_zero(second.failed),
            f"{second.ms(50):.1f}",
            f"{second.ms(99):.1f}",
            f"{second.ms(99.9):.1f}",
            str(second.in_flight),
        )
    return table


def _instances(second: Second | None) -> Table:
    table = Table(expand=False)
    for column in ("service", "instances (calls in flight)"):
        table.add_column(column)
    if second:
        for service, calls in sorted(second.instances.items()):
            table.add_row(service, "  ".join(f"{address} ({count})" for address, count in sorted(calls.items())))
    return table


def _red_unless_zero(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "")
