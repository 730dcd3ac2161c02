"""What each command does, inside the virtual environment."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infra import fleet, machine, pythons
from infra.errors import InfraError
from infra.fleet import SERVICES, Fleet
from infra.layout import DATA, LOCAL, LOGS, PYTHON, ROOT
from infra.lock import holder, running
from infra.progress import say
from infra.settings import InfraSettings
from infra.setup import set_up
from infra.supervision import Slot, Supervisor, base_ports
from infra.supervisord_conf import MAX_INSTANCES

# Longer than the 20 s that stopping takes at most.
_STOP_SECONDS = 30.0
# Far more than a start takes; on a machine with forty other things to do it took 52 s.
_SERVE_SECONDS = 180.0
_LAST_LINES = 200

OWN_CODE = (
    "discovery/src",
    "discovery/tests",
    "common",
    "language",
    "services",
    "client",
    "schema",
    "infra",
    "sampledata",
    "loadtest",
    "benchmarks",
    "deploy",
    "tests",
)


def run(command: str, arguments: list[str]) -> int:
    """Do `command` (one of those in __main__) with what stands after it, and return the exit code."""
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    commands: dict[str, Callable[[dict[str, str]], int]] = {
        "run": _run,
        "start": _start,
        "stop": _stop,
        "status": _status,
        "logs": _logs,
        "scale": _scale,
        "rolling-restart": _rolling_restart,
        "test": _test,
        "test-pythons": lambda given: pythons.test_pythons(shlex.split(given.get("ARGS", ""))),
        "chaos": _chaos,
        "bench": _bench,
        "load": _load,
        "load-scale": lambda _: _load({"ARGS": "run scaling"}),
        "containers": _containers,
        "check": _check,
        "protos": _protos,
        "generate": _generate,
        "setup": _setup,
    }
    return commands[command](given)


def _setup(_given: dict[str, str]) -> int:
    set_up()
    say(f"everything is set up in {LOCAL}")
    return 0


def _run(_given: dict[str, str]) -> int:
    settings = machine.load_settings()
    with running():
        set_up()
        return machine.run(settings)


def _start(_given: dict[str, str]) -> int:
    """Start `run` in the background and show what it says until everything serves."""
    machine.load_settings()
    if pid := holder():
        raise InfraError(f"KillrVideo runs already (process {pid}): `make status` shows it, `make stop` ends it")
    set_up()
    LOGS.mkdir(parents=True, exist_ok=True)
    machine.READY.unlink(missing_ok=True)
    log = LOGS / "run.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(PYTHON), "-m", "infra", "run"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            while True:
                ready, ended = machine.READY.exists(), child.poll() is not None
                print(lines.read(), end="", flush=True)
                if ready:
                    say("running in the background: `make status`, `make logs SERVICE=comments`, `make stop`")
                    return 0
                if ended:
                    return child.returncode or 1
                time.sleep(0.1)
    except BaseException:
        child.terminate()
        child.wait()
        raise


def _stop(_given: dict[str, str]) -> int:
    pid = holder()
    if pid is None:
        say("KillrVideo does not run")
        return 0
    os.kill(pid, signal.SIGTERM)
    begun = time.monotonic()
    while holder() == pid:
        if time.monotonic() - begun > _STOP_SECONDS:
            raise InfraError(f"process {pid} has not stopped after {_STOP_SECONDS:.0f} s")
        time.sleep(0.1)
    say(f"stopped in {time.monotonic() - begun:.1f} s")
    return 0


def _status(_given: dict[str, str]) -> int:
    settings = machine.load_settings()
    _require_running()

    async def look() -> int:
        async with await Fleet.open(settings) as found:
            seen = await found.look()
        print(fleet.table(seen))
        absent = fleet.missing(seen)
        say(f"not serving: {', '.join(absent)}" if absent else "all seven serve")
        return 1 if absent else 0

    return asyncio.run(look())


def _logs(given: dict[str, str]) -> int:
    """The last lines of a service's instances, or of one of the others."""
    name = given.get("SERVICE", "")
    files = {
        "schema": LOGS / "schema.log",
        "cassandra": DATA / "cassandra" / "system.log",
        "etcd": DATA / "etcd" / "etcd.log",
    }
    if name and name not in SERVICES and name not in files:
        raise InfraError(f"SERVICE={name} is none of {', '.join([*SERVICES, *files])}")
    path = files.get(name, LOGS / "services.log")
    if not path.exists():
        raise InfraError(f"nothing has been logged yet: {path} is not there")

    def wanted(line: str) -> bool:
        return name not in SERVICES or line.startswith((f"{name}-", f'{{"instance": "{name}-'))

    with path.open(encoding="utf-8", errors="replace") as lines:
        print("".join([line for line in lines if wanted(line)][-_LAST_LINES:]), end="", flush=True)
        while given.get("FOLLOW"):
            line = lines.readline()
            if not line:
                time.sleep(0.2)
            elif wanted(line):
                print(line, end="", flush=True)
    return 0


def _scale(given: dict[str, str]) -> int:
    """Start or stop instances by name until N run; the others are not touched."""
    settings = machine.load_settings()
    slug = _service(given)
    wanted = given.get("N", "")
    if not wanted.isdecimal() or int(wanted) > MAX_INSTANCES:
        raise InfraError(
            f"N={wanted} is not a number from 0 to {MAX_INSTANCES}, as in `make scale SERVICE=comments N=4`"
        )
    _require_running()
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


def _rolling_restart(given: dict[str, str]) -> int:
    """Each instance in turn; a service with only one gets a second one meanwhile, so that it is never without."""
    settings = machine.load_settings()
    chosen = [_service(given)] if given.get("SERVICE") else list(SERVICES)
    _require_running()
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


def _test(given: dict[str, str]) -> int:
    set_up()
    os.execv(PYTHON, [str(PYTHON), "-m", "pytest", *shlex.split(given.get("ARGS", ""))])


def _chaos(given: dict[str, str]) -> int:
    set_up()
    os.execv(PYTHON, [str(PYTHON), "-m", "tests.chaos", *shlex.split(given.get("ARGS", ""))])


def _bench(given: dict[str, str]) -> int:
    set_up()
    os.execv(PYTHON, [str(PYTHON), "-m", "benchmarks", *shlex.split(given.get("ARGS", ""))])


def _load(given: dict[str, str]) -> int:
    """The load test against this machine's system, which is started in the background where it does not run."""
    settings = machine.load_settings()
    if holder() is None and _start({}) != 0:
        raise InfraError("the system did not start, so there is nothing to load")
    environment = {**os.environ, **machine.service_environment(settings)}
    arguments = shlex.split(given.get("ARGS", "")) or ["run", "browse"]
    os.execve(PYTHON, [str(PYTHON), "-m", "loadtest", *arguments], environment)


def _containers(given: dict[str, str]) -> int:
    set_up()
    os.execv(PYTHON, [str(PYTHON), "-m", "deploy", *shlex.split(given.get("TRIALS", ""))])


def _protos(_given: dict[str, str]) -> int:
    return subprocess.run([str(PYTHON), "-m", "protos"], cwd=ROOT, check=False).returncode


def _generate(_given: dict[str, str]) -> int:
    """The code of the .proto files first: what follows from the catalogue imports it."""
    return _protos({}) or subprocess.run([str(PYTHON), "-m", "deploy.generate"], cwd=ROOT, check=False).returncode


def _check(_given: dict[str, str]) -> int:
    """Every check, also after one has failed, and which of them failed."""
    own = [name for name in OWN_CODE if (ROOT / name).is_dir()]
    programs = Path(sys.executable).parent
    steps = {
        "lint": ["-m", "ruff", "check", "."],
        "format": ["-m", "ruff", "format", "--check", "."],
        "types": ["-m", "mypy", *own],
        "import rules": [str(programs / "lint-imports"), "--no-cache"],
        "generated code": ["-m", "protos", "--check"],
        "generated files": ["-m", "deploy.generate", "--check"],
    }
    failed = []
    for name, step in steps.items():
        say(f"{name}: {' '.join(Path(part).name if part.startswith('/') else part for part in step)}")
        if subprocess.run([str(PYTHON), *step], cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        raise InfraError(f"failed: {', '.join(failed)}")
    say("all checks passed")
    return 0


def _service(given: dict[str, str]) -> str:
    slug = given.get("SERVICE", "")
    if slug not in SERVICES:
        raise InfraError(f"SERVICE={slug} is none of {', '.join(SERVICES)}")
    return slug


def _require_running() -> None:
    if holder() is None:
        raise InfraError("KillrVideo does not run: `make start` or `make run` starts it")
