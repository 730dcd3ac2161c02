"""Everything on one machine: etcd, Cassandra, the schema step and the seven services, started together, watched, and stopped in order."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from common.database import DatabaseError, Select, connect
from grpc_discovery import ServiceError
from grpc_discovery.addresses import Address
from infra.cassandra import Cassandra
from infra.errors import STOP_SIGNALS, InfraError, Stopped
from infra.etcd import Etcd
from infra.fleet import Fleet, Seen, changes, missing, table
from infra.layout import DATA, LOGS, PYTHON, ROOT, RUN
from infra.local import free_mb, full_disk, require_space
from infra.ports import require_free
from infra.processes import Process
from infra.progress import say
from infra.settings import InfraSettings, misspelled
from infra.supervision import base_ports, write_configuration

READY = RUN / "ready"
"""There while everything serves; `make start` waits for it."""

RUN_MB = 300
"""What etcd's and Cassandra's logs of changes take at their start, and a little more."""

LEAST_MB = 70
"""With less, the next file that etcd lays out in advance does not fit."""

_READY_SECONDS = 900.0
_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_ENDURE_SECONDS = 30.0


class FirstVideo(NamedTuple):
    """Any row of `videos`."""

    videoid: object


ANY_VIDEO = Select("SELECT videoid FROM videos LIMIT 1", FirstVideo)


class Machine:
    """The processes of one machine, in the order of their start."""

    def __init__(self, settings: InfraSettings) -> None:
        self.settings = settings
        services = service_environment(settings)
        contact = {"KILLRVIDEO_DSE_CONTACT_POINTS": f"127.0.0.1:{settings.cassandra.port}", "PYTHONUNBUFFERED": "1"}
        self.etcd = Etcd(DATA / "etcd", settings.etcd_port, peer_port=settings.etcd_peer_port)
        self.cassandra = Cassandra(
            DATA / "cassandra",
            settings.cassandra.port,
            storage_port=settings.cassandra_storage_port,
            heap_mb=settings.cassandra_heap,
        )
        self.cassandra.stop_seconds = 5.0
        self.schema = Process(
            "the schema step",
            [str(PYTHON), "-m", "schema", "--stay"],
            LOGS / "schema.log",
            environment={**services, **contact},
            folder=ROOT,
            stop_seconds=2.0,
        )
        configuration = RUN / "supervisord.conf"
        write_configuration(configuration, settings.port_offset)
        self.supervisord = Process(
            "supervisord",
            [str(PYTHON), "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
            LOGS / "services.log",
            environment={**services, "PATH": f"{PYTHON.parent}:{os.environ['PATH']}"},
            folder=ROOT,
            # A little more than its own stopwaitsecs; and if we are killed it still stops the services in order.
            stop_seconds=13.0,
            orphan_signal="TERM",
        )

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [self.etcd, self.cassandra, self.schema, self.supervisord]

    def check_ports(self) -> None:
        """Raise InfraError for the first port that is taken, or wanted twice, before anything is started."""
        settings = self.settings
        wanted = [
            (settings.etcd_port, "etcd", "KILLRVIDEO_ETCD_PORT", "127.0.0.1"),
            (settings.etcd_peer_port, "etcd's peers", "KILLRVIDEO_ETCD_PEER_PORT", "127.0.0.1"),
            (settings.cassandra.port, "Cassandra", "KILLRVIDEO_CASSANDRA_PORT", "127.0.0.1"),
            (settings.cassandra_storage_port, "Cassandra's nodes", "KILLRVIDEO_CASSANDRA_STORAGE_PORT", "127.0.0.1"),
        ]
        for slug, port in base_ports(settings.port_offset).items():
            wanted.append((port + 1, slug, "KILLRVIDEO_PORT_OFFSET", settings.listen.host))
        given: dict[int, str] = {}
        for port, what, setting, _ in wanted:
            if port in given:
                raise InfraError(f"port {port} is given to {given[port]} and to {what}: choose another with {setting}")
            given[port] = what
        for port, what, setting, host in wanted:
            require_free(port, what, setting, host)

    @contextmanager
    def started(self) -> Iterator[None]:
        """Everything begun, side by side: each waits for what it needs, as it would anywhere. Stopped in order at the end of the block."""
        for process in (self.schema, self.supervisord):
            _keep_one_older(process.log)
        with ExitStack() as stack:
            stack.callback(self._stop_databases)
            for process in self.processes:
                if process in (self.schema, self.supervisord):
                    stack.callback(_stop, process)
                process.start()
            yield

    def _stop_databases(self) -> None:
        """Cassandra and etcd do not need each other: both are asked before either is waited for."""
        self.cassandra.terminate()
        _stop(self.etcd)
        _stop(self.cassandra)

    def check(self) -> None:
        """Raise InfraError, with the end of its log, if a process has ended by itself."""
        for process in self.processes:
            if not process.alive:
                end = _crash(process.log_text()) if process is self.supervisord else ""
                raise InfraError(
                    end
                    or f"{process.name} ended with {process.exit_code}; the end of {process.log}:\n{process.log_end()}"
                )


def service_environment(settings: InfraSettings) -> dict[str, str]:
    """What the services of this machine get beside the person's own settings, which must not send them elsewhere."""
    return {
        "KILLRVIDEO_ETCD": f"127.0.0.1:{settings.etcd_port}",
        "KILLRVIDEO_DSE_CONTACT_POINTS": "",
        "KILLRVIDEO_SERVICE_PORT": "",
        "KILLRVIDEO_LISTEN_PORT": "",
        "PYTHONUNBUFFERED": "1",
    }


def load_settings() -> InfraSettings:
    """The settings, with etcd being the one of this machine."""
    settings = InfraSettings.load()
    for warning in misspelled(os.environ):
        print(warning, file=sys.stderr, flush=True)
    return settings.replace(etcd=f"127.0.0.1:{settings.etcd_port}")


def run(settings: InfraSettings) -> int:
    """Start everything, tell who serves where, and watch until the process is asked to stop."""
    begun = time.monotonic()
    READY.unlink(missing_ok=True)
    machine = Machine(settings)
    machine.check_ports()
    require_space(RUN_MB)
    say("starting etcd, Cassandra, the schema step and the seven services")
    with machine.started():
        try:
            asyncio.run(_until_stopped(machine, begun))
        except (Stopped, asyncio.CancelledError):
            # Asked to stop while everything ran: that is how it is meant to end.
            if not READY.exists():
                raise Stopped from None
        except InfraError as error:
            # What databases say of a full disk is a page long, and each says it in its own way.
            if free_mb() < LEAST_MB:
                raise full_disk() from error
            raise
        finally:
            READY.unlink(missing_ok=True)
            say("stopping")
    return 0


async def _until_stopped(machine: Machine, begun: float) -> None:
    _cancel_when_asked_to_stop()
    # etcd is the first thing that a look needs; it is there within a second.
    await asyncio.to_thread(machine.etcd.wait_ready)
    async with await Fleet.open(machine.settings) as fleet:
        seen = await _until_all_serve(machine, fleet)
        say(f"all seven serve, {time.monotonic() - begun:.0f} s after the start")
        await _load_sample_data(machine)
        print(f"\n{table(seen)}\n\n{introduction(machine)}\n", flush=True)
        READY.write_text(f"{os.getpid()}\n", encoding="utf-8")
        await _watch(machine, fleet, seen)


def _cancel_when_asked_to_stop() -> None:
    """From here to the end of the loop a signal cancels the task that runs now.

    An exception raised by the signal's handler, as before and after, could come up in a callback, where asyncio logs it and goes on.
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
    patience = time.monotonic() + _PATIENCE_SECONDS
    cassandra = False
    while absent := missing(seen := await fleet.look()):
        machine.check()
        if time.monotonic() > deadline:
            raise InfraError(
                f"after {_READY_SECONDS:.0f} s these do not serve: {', '.join(absent)}; see `make logs` and {LOGS}"
            )
        if not cassandra and await asyncio.to_thread(machine.cassandra.is_ready):
            cassandra = True
            say("Cassandra answers")
        if time.monotonic() > patience:
            patience += _PATIENCE_SECONDS
            say(f"waiting for {', '.join(absent) if cassandra else 'Cassandra'}")
        await asyncio.sleep(0.2)
    return seen


async def _load_sample_data(machine: Machine) -> None:
    """Load our own small set if there is no video, or if an earlier load was broken off."""
    begun = DATA / "sample-data-begun"
    if not begun.exists() and await _has_videos(machine.settings):
        return
    begun.touch()
    say("loading the sample data")
    environment = {**os.environ, **service_environment(machine.settings)}
    # Its own session: Ctrl-C reaches us alone. It prints to our terminal, so no log of its own.
    command = ["setpriv", "--pdeathsig", "KILL", str(PYTHON), "-m", "sampledata"]
    child = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        code = await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
    if code:
        say(f"the sample data was not loaded whole (exit code {code}); the next `make run` tries again")
    else:
        begun.unlink()


async def _has_videos(settings: InfraSettings) -> bool:
    try:
        ours = settings.replace(cassandra_driver="cassandra-driver")  # the tools' driver
        database = await connect(ours, [Address("127.0.0.1", settings.cassandra.port)], settings.cassandra.keyspace)
        try:
            await database.prepare([ANY_VIDEO])
            return await database.select_one(ANY_VIDEO) is not None
        finally:
            await database.close()
    except (ServiceError, DatabaseError) as error:
        raise InfraError(f"Cassandra was asked for videos in vain: {error}") from error


async def _watch(machine: Machine, fleet: Fleet, seen: list[Seen]) -> None:
    """A line for each change, until we are asked to stop. A database or schema step that ends is started again, once in a while."""
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
                or time.monotonic() - restarted.get(process.name, -_ENDURE_SECONDS) < _ENDURE_SECONDS
            ):
                machine.check()
            say(f"{time.strftime('%H:%M:%S')}  {process.name} ended with {process.exit_code}; starting it again")
            restarted[process.name] = time.monotonic()
            process.start()


def introduction(machine: Machine) -> str:
    """Two or three calls to try, and what can be hurt."""
    settings = machine.settings
    port = base_ports(settings.port_offset)["video_catalog"] + 1
    etcd = "" if settings.etcd_port == 2379 else f"KILLRVIDEO_ETCD={settings.registry.etcd.addresses} "
    python = os.path.relpath(PYTHON, ROOT)
    return f"""Try:
  {etcd}{python} -m client call VideoCatalogService GetLatestVideoPreviews '{{"page_size": 3}}'
  {etcd}{python} -m client call SearchService SearchVideos '{{"query": "cassandra", "page_size": 3}}'
  grpcurl -plaintext 127.0.0.1:{port} list
etcd is process {machine.etcd.pid} on port {settings.etcd_port}, Cassandra {machine.cassandra.pid} on {settings.cassandra.port}. Ctrl-C (or `make stop`) stops everything."""


def _crash(log: str) -> str:
    """What infra/crashloop.py said in supervisord's log, with the last lines of the instance it was about; '' if it said nothing."""
    lines = log.splitlines()
    for line in lines:
        if line.startswith("supervisord: "):
            reason = line.removeprefix("supervisord: ").partition(";")[0]
            name = reason.split()[0]
            own = [each for each in lines if each.startswith((f"{name} | ", f'{{"instance": "{name}", '))]
            return "\n".join([f"{reason}; its last lines:", *own[-12:]])
    return ""


def _stop(process: Process) -> None:
    """Stop one, and say so if it took long enough to wonder."""
    begun = time.monotonic()
    process.stop()
    if time.monotonic() - begun > 1:
        say(f"{process.name} stopped")


def _keep_one_older(log: Path) -> None:
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
