"""The view on the terminal while a run lasts: rate asked and done, latency, failures, instances and their calls."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.run import Result

ROWS = 12


def view(result: Result) -> RenderableType:
    """The last seconds of a run, and the instances as the callers see them."""
    table = Table(title=f"load test “{result.workload.name}”", expand=False)
    for column in (
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
    ):
        table.add_column(column, justify="right")
    for second in result.seconds[-ROWS:]:
        ok = second.outcomes["OK"]
        failed = sum(second.outcomes.values()) - ok
        table.add_row(
            f"{second.at:.0f}/{result.workload.seconds:.0f}",
            f"{second.rate:.0f}",
            str(second.visits),
            _alarming(second.not_sent),
            str(ok),
            _alarming(failed),
            f"{second.ms(50):.1f}",
            f"{second.ms(99):.1f}",
            f"{second.ms(99.9):.1f}",
            str(second.in_flight),
        )
    instances = Table(expand=False)
    for column in ("service", "instances (calls in flight)"):
        instances.add_column(column)
    if result.seconds:
        for service, calls in sorted(result.seconds[-1].instances.items()):
            instances.add_row(service, "  ".join(f"{address} ({count})" for address, count in sorted(calls.items())))
    steps = [Text(f"{begin:6.1f} s  {what}: {outcome}") for begin, _, what, outcome in result.steps[-4:]]
    return Group(table, instances, *steps)


def _alarming(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "")
