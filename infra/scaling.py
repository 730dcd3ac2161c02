"""`make scale` and `make rolling-restart`: instances started and stopped by name, and waited for until callers find them."""

import asyncio
import time

from infra import machine
from infra.errors import InfraError
from infra.fleet import SERVICES, Fleet
from infra.progress import say
from infra.settings import InfraSettings
from infra.supervision import Slot, Supervisor, base_ports
from infra.supervisord_conf import MAX_INSTANCES
from infra.waiting import Waiting

# Far more than a start takes; on a very busy machine it took 52 s.
_SERVE_SECONDS = 180.0


def scale(slug: str, number: str) -> int:
    """Start or stop instances of a service by name until so many run; the others are not touched."""
    _require_service(slug)
    if not number.isdecimal() or int(number) > MAX_INSTANCES:
        raise InfraError(
            f"N={number} is not a number from 0 to {MAX_INSTANCES}, as in `make scale SERVICE=comments N=4`"
        )
    settings = machine.settings_of_what_runs()
    supervisor = Supervisor()
    slots = [slot for slot in supervisor.slots() if slot.slug == slug]
    up = [slot for slot in slots if slot.up]
    idle = [slot for slot in slots if slot.down]
    more = int(number) - len(up)
    starting, stopping = idle[: max(more, 0)], up[int(number) :]
    for slot in starting:
        supervisor.start(slot.name)
    if stopping:
        supervisor.stop(*(slot.name for slot in stopping))
    for slot in stopping:
        say(f"{slot.name} stopped")
    asyncio.run(_until_serving(settings, starting))
    say(f"{slug}: {number} of {MAX_INSTANCES} possible instances run")
    return 0


def rolling_restart(chosen: str) -> int:
    """Restart each instance of a service, or with '' of all, in turn. A service with only one gets a second one meanwhile."""
    if chosen:
        _require_service(chosen)
    settings = machine.settings_of_what_runs()
    supervisor = Supervisor()
    for slug in [chosen] if chosen else SERVICES:
        slots = [slot for slot in supervisor.slots() if slot.slug == slug]
        up = [slot for slot in slots if slot.up]
        helper = [slot for slot in slots if slot.down][:1] if len(up) == 1 else []
        for slot in helper:
            supervisor.start(slot.name)
        asyncio.run(_until_serving(settings, helper))
        for slot in up:
            supervisor.stop(slot.name)
            supervisor.start(slot.name)
            asyncio.run(_until_serving(settings, [slot]))
        for slot in helper:
            supervisor.stop(slot.name)
            say(f"{slot.name} stopped, it stood in")
    return 0


async def _until_serving(settings: InfraSettings, slots: list[Slot]) -> None:
    """Return when all of them serve and are advertised; raise InfraError naming those that do not in time."""
    if not slots:
        return
    ports = base_ports(settings.port_offset)
    waiting = {f":{ports[slot.slug] + slot.number}": slot for slot in slots}
    deadline, progress = time.monotonic() + _SERVE_SECONDS, Waiting()
    async with await Fleet.open(settings) as found:
        while waiting:
            for seen in await found.look():
                port = f":{seen.address.rpartition(':')[2]}"
                if seen.in_order and port in waiting and waiting[port].slug == seen.slug:
                    say(f"{waiting.pop(port).name} serves, advertised as {seen.key}")
            names = ", ".join(slot.name for slot in waiting.values())
            if waiting and time.monotonic() > deadline:
                raise InfraError(
                    f"{names}: not serving after {_SERVE_SECONDS:.0f} s; `make logs SERVICE={slots[0].slug}` says why"
                )
            if waiting:
                progress.show(names)
            await asyncio.sleep(0.2)


def _require_service(slug: str) -> None:
    if slug not in SERVICES:
        raise InfraError(f"SERVICE={slug} is none of {', '.join(SERVICES)}")
