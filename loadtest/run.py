"""A whole run: generator processes started together, steps taken at their moments, and what came of it, second by second."""

import asyncio
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtest.generator import PREPARE_SECONDS, histogram
from loadtest.steps import StepTaker
from loadtest.workload import STOP, Workload

VISITS_A_GENERATOR = 150.0
"""Visits a second that one generator process is asked for at most; above it there are several."""
_CPU_SECONDS = 5.0
BUSY_GENERATOR = 0.9
"""CPU share above which a generator's own figures are not to be trusted."""


class LoadTestError(Exception):
    """The run could not be made; the text says why."""


@dataclass
class Second:
    """What happened in one second of the run, over all generators."""

    at: float
    rate: float = 0.0
    visits: int = 0
    not_sent: int = 0
    in_flight: int = 0
    latest_ms: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: HdrHistogram = field(default_factory=histogram)
    instances: dict[str, dict[str, int]] = field(default_factory=dict)

    def ms(self, percentile: float) -> float:
        """A percentile of this second's latencies, milliseconds; 0 where no call ended."""
        if not self.latencies.get_total_count():
            return 0.0
        return float(self.latencies.get_value_at_percentile(percentile)) / 1000


@dataclass
class Result:
    """All that a run found out."""

    workload: Workload
    started: float
    seconds: list[Second] = field(default_factory=list)
    methods: dict[str, HdrHistogram] = field(default_factory=dict)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    steps: list[tuple[float, float, str, str]] = field(default_factory=list)
    """Begin and end (seconds after the start), what was done, and how it went."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process."""
    generator_cpu: list[float] = field(default_factory=list)
    """CPU share of each generator."""
    interrupted: bool = False

    @property
    def calls(self) -> int:
        """Calls made."""
        return sum(sum(counts.values()) for counts in self.outcomes.values())

    @property
    def failed(self) -> int:
        """Calls that did not end with OK."""
        return self.calls - sum(counts["OK"] for counts in self.outcomes.values())

    @property
    def failed_without_cassandra(self) -> int:
        """Those of them that ended while Cassandra was stopped on purpose, or so soon after it that they waited for it."""
        waits = [(begin, end + self.workload.timeout) for begin, end, what, _ in self.steps if what.startswith(STOP)]
        ended = (second for second in self.seconds if any(begin <= second.at <= end for begin, end in waits))
        return sum(count for second in ended for outcome, count in second.outcomes.items() if outcome != "OK")

    @property
    def not_sent(self) -> int:
        """Visits that were due and could not be begun."""
        return sum(second.not_sent for second in self.seconds)

    @property
    def problems(self) -> list[str]:
        """Why the figures are not to be trusted; empty for a valid run."""
        found = []
        if self.not_sent:
            found.append(f"{self.not_sent} visits were not sent: the generators fell behind")
        if self.generator_cpu and max(self.generator_cpu) > BUSY_GENERATOR:
            found.append(f"a generator used {max(self.generator_cpu):.0%} of a processor")
        return found


class Run:
    """Runs a workload with as many generators as it needs. `on_second` is called with the result after each second."""

    def __init__(self, workload: Workload, on_second: Callable[[Result], None]) -> None:
        self._workload, self._on_second = workload, on_second
        rates = [workload.rate, *(float(step.do.split()[1]) for step in workload.steps if step.do.startswith("rate "))]
        self._count = math.ceil(max(rates) / VISITS_A_GENERATOR)
        self._open: dict[int, Second] = {}
        self._told: Counter[int] = Counter()

    async def go(self, stop: asyncio.Event) -> Result:
        """The result of the whole run, or of what was done of it when `stop` is set. Raises LoadTestError."""
        generators = [await self._start_generator(number) for number in range(self._count)]
        try:
            await asyncio.gather(*(self._ready(generator) for generator in generators))
            result = Result(self._workload, started=time.time() + 0.5)
            steps = StepTaker(self._workload.steps, lambda rate: self._tell_rate(generators, rate))
            cpu_before = await asyncio.to_thread(steps.cpu_seconds)
            self._tell_rate(generators, self._workload.rate)
            for generator in generators:
                _tell(generator, f"start {result.started}")
            taking = asyncio.gather(steps.take(result), _look_at_cpu(steps))
            listening = [asyncio.create_task(self._listen(generator, result)) for generator in generators]
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([stopped], timeout=self._workload.seconds + 0.5)
            result.interrupted = stop.is_set()
            stopped.cancel()
            for generator in generators:
                _tell(generator, "stop")
            await asyncio.wait(listening, timeout=self._workload.timeout + 5)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            cpu_after = await asyncio.to_thread(steps.cpu_seconds)
            result.cpu = {name: round(used - cpu_before.get(name, 0), 2) for name, used in cpu_after.items()}
            await steps.restore()
            return result
        finally:
            for generator in generators:
                if generator.returncode is None:
                    generator.kill()
                await generator.wait()

    async def _start_generator(self, number: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.generator", self._workload.model_dump_json(), str(number),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=16 * 2**20, start_new_session=True, env=os.environ.copy(),
        )  # fmt: skip

    async def _ready(self, generator: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(PREPARE_SECONDS * 2):
                line = await _line(generator)
        except TimeoutError as error:
            raise LoadTestError("the services do not answer: is the system running? `make status` tells") from error
        if not line:
            raise LoadTestError("a generator ended before it began; its error stands above")
        if not json.loads(line)["videos"]:
            raise LoadTestError("there are no videos to ask for: load some with `python -m sampledata`")

    def _tell_rate(self, generators: list[asyncio.subprocess.Process], rate: float) -> None:
        for generator in generators:
            _tell(generator, f"rate {rate / len(generators)}")

    async def _listen(self, generator: asyncio.subprocess.Process, result: Result) -> None:
        cpu: list[tuple[float, float]] = []
        while line := await _line(generator):
            message = json.loads(line)
            if "methods" in message:
                for name, encoded in message["methods"].items():
                    result.methods.setdefault(name, histogram()).add(HdrHistogram.decode(encoded))
                continue
            cpu.append((message["at"], message["cpu"]))
            self._add(message, result)
        if len(cpu) > 1 and cpu[-1][0] > cpu[0][0]:
            result.generator_cpu.append((cpu[-1][1] - cpu[0][1]) / (cpu[-1][0] - cpu[0][0]))

    def _add(self, message: dict[str, Any], result: Result) -> None:
        """Put one generator's second into the sum; a second is passed on when all generators have told of it."""
        number = round(message["at"] - result.started)
        second = self._open.setdefault(number, Second(at=float(number)))
        second.rate += message["rate"]
        second.visits += message["visits"]
        second.not_sent += message["not_sent"]
        second.in_flight += message["in_flight"]
        second.latest_ms = max(second.latest_ms, message["latest_ms"])
        second.latencies.add(HdrHistogram.decode(message["latencies"]))
        for method, outcome, count in message["outcomes"]:
            second.outcomes[outcome] += count
            result.outcomes.setdefault(method, Counter())[outcome] += count
        for service, instances in message["instances"].items():
            for address, calls in instances.items():
                of_service = second.instances.setdefault(service, {})
                of_service[address] = of_service.get(address, 0) + calls
        self._told[number] += 1
        if self._told[number] == self._count:
            result.seconds.append(second)
            self._on_second(result)


async def _look_at_cpu(steps: StepTaker) -> None:
    """Note now and then what each process has used, so that those that end meanwhile are counted too."""
    while True:
        await asyncio.sleep(_CPU_SECONDS)
        await asyncio.to_thread(steps.cpu_seconds)


def _tell(generator: asyncio.subprocess.Process, command: str) -> None:
    if generator.stdin and not generator.stdin.is_closing():
        generator.stdin.write(f"{command}\n".encode())


async def _line(generator: asyncio.subprocess.Process) -> bytes:
    """The next line a generator tells; empty when it has ended."""
    return await generator.stdout.readline() if generator.stdout else b""
