"""`make run`: everything on one machine started, watched while it serves, and stopped in order."""

import asyncio
import os
import signal
import time
from types import FrameType

from infra.errors import STOP_SIGNALS, InfraError, Stopped
from infra.fleet import Fleet, Seen, changes, missing, table
from infra.layout import LOGS, PYTHON, ROOT, RUN
from infra.local import free_mb, full_disk, require_space
from infra.machine import Machine
from infra.progress import say
from infra.sample_data import load_sample_data
from infra.settings import InfraSettings
from infra.supervision import base_ports
from infra.waiting import Waiting

READY = RUN / "ready"
"""This file exists while everything serves; `make start` waits for it."""

RUN_MB = 300
"""Room that the logs of changes of etcd and Cassandra take at their start, and a little more."""

MIN_FREE_MB = 70
"""With less, the next file that etcd allocates in advance does not fit."""

_READY_SECONDS = 900.0
_FIRST_LOOKS_SECONDS = 0.2
_LOOK_SECONDS = 1.0
_RESTART_SECONDS = 30.0


def run(settings: InfraSettings) -> int:
    """Start everything, print who serves where, and watch until the process is asked to stop. Returns the exit code."""
    started_at = time.monotonic()
    READY.unlink(missing_ok=True)
    machine = Machine(settings)
    machine.check_ports()
    require_space(RUN_MB)
    say("starting etcd, Cassandra, the schema step and the seven services")
    with machine.started():
        try:
            asyncio.run(_until_stopped(machine, started_at))
        except (Stopped, asyncio.CancelledError):
            # Asked to stop while everything ran: the regular end.
            if not READY.exists():
                raise Stopped from None
        except InfraError as error:
            # Each database reports a full disk in its own way, on a page of text.
            if free_mb() < MIN_FREE_MB:
                raise full_disk() from error
            raise
        finally:
            READY.unlink(missing_ok=True)
            say("stopping")
    return 0


async def _until_stopped(machine: Machine, started_at: float) -> None:
    _cancel_when_asked_to_stop()
    # Looking for instances needs etcd, which serves within a second.
    await asyncio.to_thread(machine.etcd.wait_ready)
    async with await Fleet.open(machine.settings) as fleet:
        seen = await _until_all_serve(machine, fleet)
        say(f"all seven serve, {time.monotonic() - started_at:.0f} s after the start")
        await load_sample_data(machine.settings)
        print(f"\n{table(seen)}\n\n{introduction(machine)}\n", flush=True)
        READY.write_text(f"{os.getpid()}\n", encoding="utf-8")
        await _watch(machine, fleet, seen)


def _cancel_when_asked_to_stop() -> None:
    """From now on a signal cancels the present task.

    An exception raised by the signal's handler, as before and after, could be raised in a callback, where asyncio logs it and continues.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101  # we are in one

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        loop.call_soon_threadsafe(task.cancel)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


async def _until_all_serve(machine: Machine, fleet: Fleet) -> list[Seen]:
    """Wait for all seven; raise InfraError when a process ends instead, or after a time that is long enough for any machine."""
    deadline = time.monotonic() + _READY_SECONDS
    waiting, cassandra = Waiting(), False
    while absent := missing(seen := await fleet.look()):
        machine.check()
        if time.monotonic() > deadline:
            raise InfraError(f"after {_READY_SECONDS:.0f} s these do not serve: {machine.reasons(absent)}; see {LOGS}")
        if not cassandra and await asyncio.to_thread(machine.cassandra.is_ready):
            cassandra = True
            say("Cassandra answers")
        if waiting.is_long:
            waiting.show(
                machine.reasons(absent) if cassandra else "Cassandra; `make logs SERVICE=cassandra` shows what it does"
            )
        await asyncio.sleep(_LOOK_SECONDS if waiting.is_long else _FIRST_LOOKS_SECONDS)
    return seen


async def _watch(machine: Machine, fleet: Fleet, seen: list[Seen]) -> None:
    """A line for each change, until we are asked to stop. A database or schema step that ends is restarted, at most once in _RESTART_SECONDS."""
    restarted: dict[str, float] = {}
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        latest = await fleet.look()
        for line in changes(seen, latest):
            say(f"{time.strftime('%H:%M:%S')}  {line}")
        seen = latest
        for process in machine.processes:
            if process.alive:
                continue
            if (
                process is machine.supervisord
                or time.monotonic() - restarted.get(process.name, -_RESTART_SECONDS) < _RESTART_SECONDS
            ):
                machine.check()
            say(f"{time.strftime('%H:%M:%S')}  {process.name} ended with {process.exit_code}; restarting it")
            restarted[process.name] = time.monotonic()
            process.start()


def introduction(machine: Machine) -> str:
    """Some calls to try, and the processes that one may kill."""
    settings = machine.settings
    port = base_ports(settings.port_offset)["video_catalog"] + 1
    etcd = "" if settings.etcd_port == 2379 else f"KILLRVIDEO_ETCD={settings.registry.etcd.addresses} "
    python = os.path.relpath(PYTHON, ROOT)
    return f"""Try:
  {etcd}{python} -m client call VideoCatalogService GetLatestVideoPreviews '{{"page_size": 3}}'
  {etcd}{python} -m client call SearchService SearchVideos '{{"query": "cassandra", "page_size": 3}}'
  grpcurl -plaintext 127.0.0.1:{port} list
etcd is process {machine.etcd.pid} on port {settings.etcd_port}, Cassandra {machine.cassandra.pid} on {settings.cassandra.port}. Ctrl-C (or `make stop`) stops everything."""
