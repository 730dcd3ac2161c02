"""The processes of one machine: etcd, Cassandra, the schema step and supervisord with the seven services."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.settings import PREFIX
from grpc_discovery import SettingsError
from grpc_discovery.settings import METRICS_PORT_OFFSET
from infra.cassandra import Cassandra
from infra.errors import InfraError
from infra.etcd import Etcd
from infra.layout import DATA, LOGS, PYTHON, ROOT, RUN
from infra.lock import environment_of, require_running
from infra.own_socket import require_own
from infra.ports import require_free
from infra.processes import Process
from infra.progress import say
from infra.settings import InfraSettings
from infra.supervision import SOCKET, base_ports, write_configuration
from infra.waiting import with_reasons

_WHERE_THINGS_ARE = [
    f"{PREFIX}{name}"
    for name in (
        "ETCD_PORT",
        "CASSANDRA_PORT",
        "PORT_OFFSET",
        "DISCOVERY",
        "REGISTRY_ROOT",
        "REGISTRY_NAMES",
        "LISTEN_HOST",
    )
]


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
        require_own(SOCKET)
        configuration = RUN / "supervisord.conf"
        write_configuration(configuration, settings.port_offset)
        self.supervisord = Process(
            "supervisord",
            [str(PYTHON), "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
            LOGS / "services.log",
            environment={**services, "PATH": f"{PYTHON.parent}:{os.environ['PATH']}"},
            folder=ROOT,
            # A little more than its own stopwaitsecs. Where we are killed, it still stops the services in order.
            stop_seconds=13.0,
            orphan_signal="TERM",
        )

    @property
    def processes(self) -> list[Process]:
        """All processes, in the order of their start."""
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
            if settings.telemetry.is_measured:
                of_metrics, host = port + 1 + METRICS_PORT_OFFSET, settings.telemetry.metrics_host
                wanted.append((of_metrics, f"the metrics of {slug}", "KILLRVIDEO_PORT_OFFSET", host))
        given: dict[int, str] = {}
        for port, what, setting, _ in wanted:
            if port in given:
                raise InfraError(f"port {port} is given to {given[port]} and to {what}: choose another with {setting}")
            given[port] = what
        for port, what, setting, host in wanted:
            require_free(port, what, setting, host)

    @contextmanager
    def started(self) -> Iterator[None]:
        """Start everything at once: each process waits for what it needs, as it would anywhere. Stopped in order at the end of the block."""
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
        """Cassandra and etcd do not need each other, so they stop at the same time."""
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

    def reasons(self, slugs: Iterable[str]) -> str:
        """Services that do not serve, with what they say that they wait for."""
        return with_reasons(slugs, self.supervisord.log_text())


def service_environment(settings: InfraSettings) -> dict[str, str]:
    """What the services of this machine get beside the person's own settings, so that they find this machine's etcd and Cassandra."""
    return {
        "KILLRVIDEO_ETCD": f"127.0.0.1:{settings.etcd_port}",
        "KILLRVIDEO_DSE_CONTACT_POINTS": "",
        "KILLRVIDEO_SERVICE_PORT": "",
        "KILLRVIDEO_LISTEN_PORT": "",
        # Each has a port of its own, or none has.
        "KILLRVIDEO_METRICS_PORT": "" if settings.telemetry.is_measured else "0",
        "PYTHONUNBUFFERED": "1",
    }


def load_settings() -> InfraSettings:
    """The settings, with etcd being the one of this machine."""
    return _with_own_etcd(InfraSettings.load())


def settings_of_what_runs() -> InfraSettings:
    """The settings with which the running system was started. Prints where this command's differ; raises InfraError when nothing runs."""
    ours, pid = load_settings(), require_running()
    try:
        theirs = environment_of(Path(f"/proc/{pid}"))
    except OSError:
        return ours
    different = {
        name: theirs.get(name, "") for name in _WHERE_THINGS_ARE if theirs.get(name, "") != os.environ.get(name, "")
    }
    if not different:
        return ours
    given = ", ".join(f"{name}={value}" if value else f"no {name}" for name, value in different.items())
    say(
        f"process {pid} was started with {given}, other than this command: the command uses the settings of that process"
    )
    try:
        return _with_own_etcd(InfraSettings.from_environment(PREFIX, theirs))
    except SettingsError as error:  # a file that it named is no longer there
        raise InfraError(f"the settings of process {pid} cannot be read again: {error}") from None


def _with_own_etcd(settings: InfraSettings) -> InfraSettings:
    return settings.replace(etcd=f"127.0.0.1:{settings.etcd_port}")


def _crash(log: str) -> str:
    """What infra/crashloop.py wrote to supervisord's log, with the last lines of that instance; '' if it wrote nothing."""
    lines = log.splitlines()
    for line in lines:
        if line.startswith("supervisord: "):
            reason = line.removeprefix("supervisord: ").partition(";")[0]
            name = reason.split()[0]
            own = [line for line in lines if line.startswith((f"{name} | ", f'{{"instance": "{name}", '))]
            return "\n".join([f"{reason}; its last lines:", *own[-12:]])
    return ""


def _stop(process: Process) -> None:
    """Stop a process, and say so if that took long enough for a person to wonder."""
    started_at = time.monotonic()
    process.stop()
    if time.monotonic() - started_at > 1:
        say(f"{process.name} stopped")


def _keep_one_older(log: Path) -> None:
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
