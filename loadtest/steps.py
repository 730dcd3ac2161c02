"""What happens to the system while a load test runs: instances are added and removed, one is killed, all are restarted, the database hangs.

Works on the system that `make run` or `make start` started on this machine.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.errors import InfraError
from infra.layout import DATA, ROOT
from infra.supervision import Supervisor
from loadtest.results import Result, StepRecord
from loadtest.workload import Step, Verb

_CASSANDRA = f"-Dcassandra.storagedir={DATA / 'cassandra'}"
_TICKS = os.sysconf("SC_CLK_TCK")


class StepRunner:
    """Runs the steps of a workload, each when it is due."""

    def __init__(self, steps: Sequence[Step], set_rate: Callable[[float], None]) -> None:
        self._steps = sorted(steps, key=lambda step: step.at)
        self._set_rate = set_rate
        self._paused: int | None = None
        self._cpu: dict[tuple[str, int], float] = {}

    async def run(self, result: Result) -> None:
        """Run each step when it is due, and add it to the result. A step does not wait for the end of the one before it."""
        tasks = []
        try:
            for step in self._steps:
                await asyncio.sleep(max(0.0, result.started + step.at - time.time()))
                tasks.append(asyncio.create_task(self._run_step(step, result)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def restore(self) -> None:
        """Resume Cassandra if the run ended while it was paused."""
        if self._paused is not None:
            os.kill(self._paused, signal.SIGCONT)
            self._paused = None

    def cpu_seconds(self) -> dict[str, float]:
        """Processor seconds used so far by each process of the system, also by those that have ended since the last call."""
        for name, pid in self._processes():
            used = _cpu_of(pid)
            if used is not None:
                self._cpu[name, pid] = used
        total: dict[str, float] = {}
        for (name, _), used in self._cpu.items():
            total[name] = total.get(name, 0.0) + used
        return total

    async def _run_step(self, step: Step, result: Result) -> None:
        begin = time.time() - result.started
        try:
            outcome = await self._do(step.verb, *step.words)
        except InfraError as error:
            outcome = f"failed: {error}"
        result.steps.append(StepRecord(begin, time.time() - result.started, step.do, outcome))

    async def _do(self, verb: Verb, *words: str) -> str:
        """Do what the verb says and return how it went. Raises InfraError when it failed."""
        match verb:
            case Verb.RATE:
                self._set_rate(float(words[0]))
                return "done"
            case Verb.KILL:
                return self._kill(words[0])
            case Verb.STOP_CASSANDRA:
                return await self._stop_cassandra(float(words[0]))
            case Verb.SCALE:
                return await _infra("scale", f"SERVICE={words[0]}", f"N={words[1]}")
            case Verb.ROLLING_RESTART:
                return await _infra("rolling-restart", *(f"SERVICE={word}" for word in words))

    def _kill(self, slug: str) -> str:
        """Send SIGKILL to the last instance of a service; supervisord restarts it."""
        running = [slot for slot in Supervisor().slots() if slot.slug == slug and slot.pid]
        if not running:
            raise InfraError(f"no instance of {slug} runs")
        self.cpu_seconds()
        os.kill(running[-1].pid, signal.SIGKILL)
        return f"killed {running[-1].name}, process {running[-1].pid}"

    async def _stop_cassandra(self, seconds: float) -> str:
        """Pause Cassandra for a while, as a long pause of its machine would."""
        pid = _process_with(_CASSANDRA)
        if pid is None:
            raise InfraError("the Cassandra of `make run` is not running")
        os.kill(pid, signal.SIGSTOP)
        self._paused = pid
        await asyncio.sleep(seconds)
        await self.restore()
        return f"process {pid} was paused for {seconds:g} s"

    def _processes(self) -> list[tuple[str, int]]:
        """Name and process id of each process of the system that runs now."""
        processes = [("generator (the parent)", os.getpid())]
        for name, words in (("Cassandra", _CASSANDRA), ("etcd", f"--data-dir={DATA / 'etcd' / 'data'}")):
            pid = _process_with(words)
            if pid:
                processes.append((name, pid))
        try:
            processes += [(slot.name, slot.pid) for slot in Supervisor().slots() if slot.pid]
        except InfraError:
            pass  # `make run` did not start this system, so the processes of its services are not known here
        return processes


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
                continue  # the process has ended
            if words in arguments:
                return int(entry.name)
    return None


def _cpu_of(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS
