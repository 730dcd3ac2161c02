"""What happens to the system while a load test runs: instances come and go, one is killed, all are restarted, the database hangs.

Works on the system that `make run` or `make start` began on this machine.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from infra.errors import InfraError
from infra.layout import DATA, ROOT
from infra.supervision import Supervisor
from loadtest.workload import STOP, Step

_CASSANDRA = f"-Dcassandra.storagedir={DATA / 'cassandra'}"
_TICKS = os.sysconf("SC_CLK_TCK")


class Log(Protocol):
    """Where the steps are noted: a run's result."""

    started: float
    steps: list[tuple[float, float, str, str]]


class StepTaker:
    """Takes the steps of a workload at their moments."""

    def __init__(self, steps: Sequence[Step], set_rate: Callable[[float], None]) -> None:
        self._steps = sorted(steps, key=lambda step: step.at)
        self._set_rate = set_rate
        self._paused: int | None = None
        self._cpu: dict[tuple[str, int], float] = {}

    async def take(self, log: Log) -> None:
        """Take each step when it is due, and note when it began and ended and how it went. Steps do not wait for each other's end."""
        taking = []
        try:
            for step in self._steps:
                await asyncio.sleep(max(0.0, log.started + step.at - time.time()))
                taking.append(asyncio.create_task(self._noted(step, log)))
            await asyncio.gather(*taking)
        finally:
            for task in taking:
                task.cancel()

    async def restore(self) -> None:
        """Let the database go on, if the run ended while it was stopped."""
        if self._paused is not None:
            os.kill(self._paused, signal.SIGCONT)
            self._paused = None

    def cpu_seconds(self) -> dict[str, float]:
        """Processor seconds used so far by each process of the system, also by those that have ended since they were last looked at."""
        for name, pid in self._processes():
            used = _cpu_of(pid)
            if used is not None:
                self._cpu[name, pid] = used
        total: dict[str, float] = {}
        for (name, _), used in self._cpu.items():
            total[name] = total.get(name, 0.0) + used
        return total

    async def _noted(self, step: Step, log: Log) -> None:
        begin = time.time() - log.started
        try:
            outcome = await self._do(*step.do.split())
        except InfraError as error:
            outcome = f"failed: {error}"
        log.steps.append((begin, time.time() - log.started, step.do, outcome))

    async def _do(self, verb: str, *words: str) -> str:
        if verb == "rate":
            self._set_rate(float(words[0]))
            return "done"
        if verb == "kill":
            return self._kill(words[0])
        if verb == STOP:
            return await self._stop_cassandra(float(words[0]))
        if verb == "scale":
            return await _infra("scale", f"SERVICE={words[0]}", f"N={words[1]}")
        return await _infra("rolling-restart", *(f"SERVICE={word}" for word in words))

    def _kill(self, slug: str) -> str:
        """SIGKILL to the last instance of a service; supervisord starts it anew."""
        running = [slot for slot in Supervisor().slots() if slot.slug == slug and slot.pid]
        if not running:
            raise InfraError(f"no instance of {slug} runs")
        self.cpu_seconds()
        os.kill(running[-1].pid, signal.SIGKILL)
        return f"killed {running[-1].name}, process {running[-1].pid}"

    async def _stop_cassandra(self, seconds: float) -> str:
        """Freeze Cassandra for a while, as a long pause of its machine would."""
        pid = _process_with(_CASSANDRA)
        if pid is None:
            raise InfraError("the Cassandra of `make run` is not there")
        os.kill(pid, signal.SIGSTOP)
        self._paused = pid
        await asyncio.sleep(seconds)
        await self.restore()
        return f"process {pid} did nothing for {seconds:g} s"

    def _processes(self) -> list[tuple[str, int]]:
        found = [("generator (the parent)", os.getpid())]
        for name, words in (("Cassandra", _CASSANDRA), ("etcd", f"--data-dir={DATA / 'etcd' / 'data'}")):
            pid = _process_with(words)
            if pid:
                found.append((name, pid))
        try:
            found += [(slot.name, slot.pid) for slot in Supervisor().slots() if slot.pid]
        except InfraError:
            pass  # a system that was not begun by `make run`: its services cannot be told apart from here
        return found


async def _infra(*arguments: str) -> str:
    """Run a command of `make` and return its last line. Raises InfraError when it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    lines = printed.decode().strip().splitlines() or ["nothing printed"]
    if process.returncode:
        raise InfraError(lines[-1])
    return lines[-1]


def _process_with(words: str) -> int | None:
    """The process whose command line holds `words` as one of its arguments."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # it ended meanwhile
            if words in arguments:
                return int(entry.name)
    return None


def _cpu_of(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS
