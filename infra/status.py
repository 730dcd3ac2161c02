"""`make status` and `make logs`: what runs where, and what it printed."""

import asyncio
import time

from infra import fleet, machine
from infra.errors import InfraError
from infra.fleet import SERVICES, Fleet
from infra.layout import DATA, LOGS
from infra.progress import say

_LAST_LINES = 200
_POLL_SECONDS = 0.2


def show_status() -> int:
    """Print who serves where. Returns 0 when all seven serve, else 1."""
    settings = machine.settings_of_what_runs()

    async def look() -> int:
        async with await Fleet.open(settings) as found:
            seen = await found.look()
        print(fleet.table(seen))
        absent = fleet.missing(seen)
        say(f"not serving: {', '.join(absent)}" if absent else "all seven serve")
        return 1 if absent else 0

    return asyncio.run(look())


def show_logs(service: str, follow: bool) -> int:
    """The last lines of a service's instances, or of one of the others; '' is all services. With `follow` the next ones too, without end."""
    files = {
        "schema": LOGS / "schema.log",
        "cassandra": DATA / "cassandra" / "system.log",
        "etcd": DATA / "etcd" / "etcd.log",
    }
    if service and service not in SERVICES and service not in files:
        raise InfraError(f"SERVICE={service} is none of {', '.join([*SERVICES, *files])}")
    path = files.get(service, LOGS / "services.log")
    if not path.exists():
        raise InfraError(f"nothing has been logged yet: {path} is not there")

    def is_wanted(line: str) -> bool:
        return service not in SERVICES or line.startswith((f"{service}-", f'{{"instance": "{service}-'))

    with path.open(encoding="utf-8", errors="replace") as lines:
        print("".join([line for line in lines if is_wanted(line)][-_LAST_LINES:]), end="", flush=True)
        while follow:
            line = lines.readline()
            if not line:
                time.sleep(_POLL_SECONDS)
            elif is_wanted(line):
                print(line, end="", flush=True)
    return 0
