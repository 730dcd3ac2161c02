"""One process that we start and are responsible for: Cassandra, etcd, supervisord, a service in a test.

Starting does not wait; `wait_ready` asks the process itself whether it serves. Stopping is bounded: a process that does not end in its
time is killed. No process outlives the one that started it, however that one ends.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.errors import InfraError

POLL_SECONDS = 0.05

# Linux sends the signal of a parent's death when the *thread* that started the child ends. One thread that lives as long as we do starts
# them all, so that the process does not end with a short-lived worker thread.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


class Process:
    """A child process with its log file, ended with its parent."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stop_seconds: float = 10.0,
        orphan_signal: str = "KILL",
    ) -> None:
        """`environment` is added to our own; `orphan_signal` is what the process gets when we die without stopping it."""
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = dict(environment or {})
        self.folder = folder
        self.stop_seconds = stop_seconds
        self.orphan_signal = orphan_signal
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; returns at once."""
        if self.alive:
            raise InfraError(f"{self.name} runs already, as process {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        starting = _starter.submit(self._spawn)
        try:
            starting.result()
        finally:
            # Also when a signal ends the waiting: a process that was started meanwhile is ours to stop.
            self._child = starting.result()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", self.orphan_signal, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                cwd=self.folder,
                # Its own group: Ctrl-C in a terminal reaches us alone, and we stop the rest in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        if self._child is None:
            raise InfraError(f"{self.name} was not started")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last start, negative for a signal; None while it runs or before a start."""
        return None if self._child is None else self._child.poll()

    def log_text(self) -> str:
        """All that it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def log_end(self, lines: int = 20) -> str:
        """The last lines it has printed."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def is_ready(self) -> bool:
        """Whether it serves; by default a process is ready while it runs."""
        return self.alive

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return when the process serves; raise InfraError with the end of its log if it ends or takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if not self.alive:
                raise InfraError(
                    f"{self.name} ended with {self.exit_code} instead of serving; the end of {self.log}:\n{self.log_end()}"
                )
            if time.monotonic() > deadline:
                raise InfraError(
                    f"{self.name} does not serve after {timeout:.0f} s; the end of {self.log}:\n{self.log_end()}"
                )
            time.sleep(POLL_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is running."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end; returns at once."""
        self.send(signal.SIGTERM)

    def wait_end(self, timeout: float) -> int:
        """Wait until it has ended and return its exit code; raise InfraError if it takes longer than `timeout` seconds."""
        if self._child is None:
            raise InfraError(f"{self.name} was not started")
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise InfraError(f"{self.name} did not end within {timeout:.0f} s") from error

    def stop(self) -> None:
        """Ask it to end and wait; kill it when `stop_seconds` have passed. Does nothing if it has ended."""
        self.terminate()
        self.resume()
        try:
            if self._child is not None:
                self._child.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, without a chance to clean up."""
        self.send(signal.SIGKILL)
        if self._child is not None:
            self._child.wait()

    def pause(self) -> None:
        """Freeze it, as a hung machine would."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process continue."""
        self.send(signal.SIGCONT)

    def restart(self) -> None:
        """Stop it in order and start it again; does not wait until it serves."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        """Start and wait until it serves."""
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop in order."""
        self.stop()


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll until `condition()` holds; raise InfraError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise InfraError(f"not within {timeout:.0f} s: {what}")
        time.sleep(POLL_SECONDS)
