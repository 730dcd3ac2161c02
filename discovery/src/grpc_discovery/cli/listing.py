"""`list`, `watch` and `wait`: the instances of names in the registry and what they say of themselves."""

import asyncio
import json
import shutil
import sys
import time

from grpc_discovery.addresses import printable
from grpc_discovery.cli.context import CommandError, Context, nearest
from grpc_discovery.cli.instances import SERVES, Instances, Row, open_instances
from grpc_discovery.registry.interface import RegistryUnavailable

_EVERY_SECONDS = 0.5
_AGAIN_SECONDS = 0.2


async def show(context: Context) -> int:
    """Print the present instances. Exit code 3 when the registry does not answer."""
    arguments, name_of = context.arguments, context.settings.registry.name_of
    async with open_instances(context, arguments.timeout, 3, others=not arguments.names) as instances:
        rows = await instances.rows()
        known = {*await instances.registry.names(), *map(name_of, context.short_names.values())}
    if rows and sys.stdout.isatty() and not arguments.json:
        from rich.console import Console

        from grpc_discovery.cli.rendering import render

        width = shutil.get_terminal_size().columns
        for line in render(rows, width):
            Console(width=width).print(line, overflow="fold", crop=False)
    else:
        for row in rows:
            if row.instance or not arguments.json:
                print(json.dumps(row._asdict()) if arguments.json else "\t".join(map(printable, row)))
    for name in {row.service for row in rows} - known:
        print(f"nothing in the registry is called {printable(name)}{nearest(name, known)}", file=sys.stderr)
    if not rows:
        print("the registry holds no names", file=sys.stderr)
    return 0


async def watch(context: Context) -> int:
    """A live table on a terminal, a line for each change in a pipe; until Ctrl-C. Exit code 3 when the registry does not answer at the start."""
    arguments = context.arguments
    async with open_instances(context, arguments.timeout, 3, others=not arguments.names) as instances:
        if sys.stdout.isatty() and not arguments.json:
            await _watch_live(instances)
        before: dict[tuple[str, str], Row] = {}
        away = False
        while True:
            try:
                now = {(row.service, row.instance): row for row in await instances.rows() if row.instance}
                problem = ""
            except RegistryUnavailable as error:
                now, problem = before, f": {printable(str(error))}"
            if away != bool(problem):
                away = bool(problem)
                print(f"the registry gives no answer{problem}" if away else "the registry answers", file=sys.stderr)
            gone = [row._replace(health="gone") for key, row in before.items() if key not in now]
            for row in gone + [row for key, row in now.items() if before.get(key) != row]:
                line = "\t".join((time.strftime("%H:%M:%S"), *map(printable, row)))
                print(json.dumps({"time": time.time(), **row._asdict()}) if arguments.json else line, flush=True)
            before = now
            await asyncio.sleep(_EVERY_SECONDS)


async def _watch_live(instances: Instances) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from grpc_discovery.cli.rendering import render

    lines: list[Text] = []
    with Live(console=Console(), auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            told = []
            try:
                rows = await instances.rows()
                lines = render(rows, live.console.width) if rows else [Text("the registry holds no names")]
            except RegistryUnavailable as error:
                told = [Text(f"the registry gives no answer: {printable(str(error))}", "red")]
            live.update(Text("\n", overflow="fold").join([*lines, *told]), refresh=True)
            await asyncio.sleep(_EVERY_SECONDS)


async def wait(context: Context) -> int:
    """Exit code 0 when each name has an instance that serves, 1 when the time is over; says then which have none."""
    seconds, began = context.arguments.timeout, time.monotonic()
    rows: list[Row] = []
    async with open_instances(context, seconds, 1, others=not context.names()) as instances:
        while True:
            try:
                rows = await instances.rows()
            except RegistryUnavailable:
                pass  # what was known last is told at the end
            names = {row.service for row in rows}
            missing = names - {row.service for row in rows if row.health in SERVES}
            if rows and not missing:
                break
            if time.monotonic() - began > seconds:
                if not rows:
                    raise CommandError("the registry is empty: say which names to wait for")
                without = [row for row in rows if row.service in missing]
                told = "".join(f"\n  {printable(f'{row.service}: {row.address} {row.health}')}" for row in without)
                raise CommandError(f"after {seconds:g} s there is no instance that serves of{told}", 1)
            await asyncio.sleep(_AGAIN_SECONDS)
    serve = "service serves" if len(names) == 1 else "services serve"
    print(f"{len(names)} {serve} after {time.monotonic() - began:.1f} s")
    return 0
