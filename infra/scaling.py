"""`make scale` and `make rolling-restart`: instances started and stopped by name, and waited for until callers find them."""

import asyncio
import time

from infra import machine
from infra.errors import InfraError
from infra.fleet import SERVICES, Fleet
from infra.lock import require_running
from infra.progress import say
from infra.settings import InfraSettings
from infra.supervision import Slot, Supervisor, base_ports
from infra.supervisord_conf import MAX_INSTANCES

# Far more than a start takes; on a machine with forty other things to do it took 52 s.
_SERVE_SECONDS = 180.0


def scale(given: dict[str, str]) -> int:
    """Start or stop instances by name until N run; the others are not touched."""
    settings = machine.load_settings()
    slug = _service(given)
    wanted = given.get("N", "")
    if not wanted.isdecimal() or int(wanted) > MAX_INSTANCES:
        raise InfraError(
            f"N={wanted} is not a number from 0 to {MAX_INSTANCES}, as in `make scale SERVICE=comments N=4`"
        )
    require_running()
    supervisor = Supervisor()
    slots = [slot for slot in supervisor.slots() if slot.slug == slug]
    up = [slot for slot in slots if slot.up]
    idle = [slot for slot in slots if slot.down]
    more = int(wanted) - len(up)
    starting, stopping = idle[: max(more, 0)], up[int(wanted) :]
    for slot in starting:
        supervisor.start(slot.name)
    if stopping:
        supervisor.stop(*(slot.name for slot in stopping))
    for slot in stopping:
        say(f"{slot.name} stopped")
    asyncio.run(_until_serving(settings, starting))
    say(f"{slug}: {wanted} of {MAX_INSTANCES} possible instances run")
    return 0


def rolling_restart(given: dict[str, str]) -> int:
    """Each instance in turn; a service with only one gets a second one meanwhile, so that it is never without."""
    settings = machine.load_settings()
    chosen = [_service(given)] if given.get("SERVICE") else list(SERVICES)
    require_running()
    supervisor = Supervisor()
    for slug in chosen:
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
    deadline = time.monotonic() + _SERVE_SECONDS
    async with await Fleet.open(settings) as found:
        while waiting:
            for seen in await found.look():
                port = f":{seen.address.rpartition(':')[2]}"
                if seen.in_order and port in waiting and waiting[port].slug == seen.slug:
                    say(f"{waiting.pop(port).name} serves, advertised as {seen.key}")
            if waiting and time.monotonic() > deadline:
                names = ", ".join(slot.name for slot in waiting.values())
                raise InfraError(
                    f"{names}: not serving after {_SERVE_SECONDS:.0f} s; `make logs SERVICE={slots[0].slug}` says why"
                )
            await asyncio.sleep(0.2)


def _service(given: dict[str, str]) -> str:
    slug = given.get("SERVICE", "")
    if slug not in SERVICES:
        raise InfraError(f"SERVICE={slug} is none of {', '.join(SERVICES)}")
    return slug
