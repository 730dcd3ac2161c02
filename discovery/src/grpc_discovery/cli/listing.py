"""`list` and `watch`: the instances of each service and what they say of themselves."""

import argparse
import asyncio
import json
import sys
import time
from typing import NamedTuple

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console
from rich.live import Live
from rich.table import Table

from client.services import Services
from common.registry.names import SERVICES
from common.settings import Settings

_EVERY_SECONDS = 0.5
_CHECK_SECONDS = 1.0


class Line(NamedTuple):
    """What is shown of one instance."""

    service: str
    instance: str
    address: str
    health: str
    since: str


async def show(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the present instances; exit code 3 when the registry gives no answer."""
    names = arguments.services or list(SERVICES)
    async with Services.from_settings(settings) as services:
        if not await _registry_answers(services, names, arguments.timeout):
            return 3
        lines = await _lines(services, names)
    if arguments.json:
        for line in lines:
            print(json.dumps(line._asdict()))
    elif sys.stdout.isatty():
        Console().print(_table(lines, names))
    else:
        for line in lines:
            print("\t".join(line))
    return 0


async def watch(settings: Settings, arguments: argparse.Namespace) -> int:
    """A live table on a terminal, a line for each change in a pipe; ends by Ctrl-C."""
    names = arguments.services or list(SERVICES)
    async with Services.from_settings(settings) as services:
        if not await _registry_answers(services, names, arguments.timeout):
            return 3
        if sys.stdout.isatty() and not arguments.json:
            with Live(Table(), refresh_per_second=4) as live:
                while True:
                    live.update(_table(await _lines(services, names), names))
                    await asyncio.sleep(_EVERY_SECONDS)
        before: dict[tuple[str, str], Line] = {}
        while True:
            now = {(line.service, line.instance): line for line in await _lines(services, names)}
            gone = [line._replace(health="gone") for key, line in before.items() if key not in now]
            for line in gone + [line for key, line in now.items() if before.get(key) != line]:
                _print_change(line, arguments.json)
            before = now
            await asyncio.sleep(_EVERY_SECONDS)


def _print_change(line: Line, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"time": time.time(), **line._asdict()}), flush=True)
    else:
        print("\t".join((time.strftime("%H:%M:%S"), *line)), flush=True)


async def _registry_answers(services: Services, names: list[str], timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await asyncio.gather(*(services.listed(name) for name in names))
    except TimeoutError:
        where = services.settings.etcd or "127.0.0.1:2379"
        print(
            f"the registry gives no answer within {timeout:g} s (KILLRVIDEO_DISCOVERY={services.settings.discovery}, etcd at {where})",
            file=sys.stderr,
        )
        return False
    return True


async def _lines(services: Services, names: list[str]) -> list[Line]:
    found = [
        (name, instance, address) for name in names for instance, address in sorted(services.instances(name).items())
    ]
    told = await asyncio.gather(*(_health(services, name, address) for name, _, address in found))
    return [Line(*entry, health, since) for entry, (health, since) in zip(found, told, strict=True)]


async def _health(services: Services, name: str, address: str) -> tuple[str, str]:
    """What an instance says of itself, and since when it serves."""
    endpoint = services.pool(name).endpoints.get(address)
    if endpoint is None:
        return "gone", ""
    question = health_pb2.HealthCheckRequest(service=f"{SERVICES[name].package}.{name}")
    call = health_pb2_grpc.HealthStub(endpoint.channel).Check(question, timeout=_CHECK_SECONDS)
    try:
        status = (await call).status
        since = dict(await call.trailing_metadata() or ()).get("serving-since", "")
    except aio.AioRpcError as error:
        return f"no answer ({error.code().name.lower()})", ""
    return health_pb2.HealthCheckResponse.ServingStatus.Name(status).lower().replace("_", " "), str(since)


def _table(lines: list[Line], names: list[str]) -> Table:
    table = Table(box=None, header_style="bold")
    for column in ("service", "instance", "address", "health", "since"):
        table.add_column(column)
    for name in names:
        for line in (each for each in lines if each.service == name):
            colour = "green" if line.health == "serving" else "red"
            table.add_row(line.service, line.instance, line.address, f"[{colour}]{line.health}[/]", line.since)
        if not any(line.service == name for line in lines):
            table.add_row(name, "[dim]none[/]", "", "", "")
    return table
