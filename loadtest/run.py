"""A whole run: generator processes that start together, the steps of the workload, and the figures of all generators added up by second."""

import asyncio
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from loadtest.generator import PREPARE_SECONDS
from loadtest.histograms import decode, new_histogram
from loadtest.results import Result, Second
from loadtest.steps import StepRunner
from loadtest.workload import Workload

MAX_GENERATOR_RATE = 150.0
"""Visits a second of one generator process; for a higher rate there are several."""
IS_IT_RUNNING = ": is the system running? `make status` shows it"
_CPU_SECONDS = 5.0


class LoadTestError(Exception):
    """The run could not be done; the text says why."""


class Run:
    """Runs a workload with as many generators as it needs. `on_second` is called with the result after each second."""

    def __init__(self, workload: Workload, on_second: Callable[[Result], None]) -> None:
        self._workload, self._on_second = workload, on_second
        self._count = math.ceil(workload.max_rate / MAX_GENERATOR_RATE)
        self._unfinished: dict[int, Second] = {}
        self._reports: Counter[int] = Counter()

    async def go(self, stop: asyncio.Event) -> Result:
        """Do the whole run, or as much of it as is done when `stop` is set, and return its result. Raises LoadTestError."""
        generators = [await self._start_generator(number) for number in range(self._count)]
        try:
            await asyncio.gather(*(self._wait_ready(generator) for generator in generators))
            result = Result(self._workload, started=time.time() + 0.5)
            steps = StepRunner(self._workload.steps, lambda rate: self._set_rate(generators, rate))
            cpu_before = await asyncio.to_thread(steps.cpu_seconds)
            self._set_rate(generators, self._workload.rate)
            for generator in generators:
                _send(generator, f"start {result.started}")
            running = asyncio.gather(steps.run(result), _sample_cpu(steps))
            reading = [asyncio.create_task(self._read(generator, result)) for generator in generators]
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait([stopped], timeout=self._workload.seconds + 0.5)
            result.interrupted = stop.is_set()
            stopped.cancel()
            for generator in generators:
                _send(generator, "stop")
            await asyncio.wait(reading, timeout=self._workload.timeout + 5)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
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

    async def _wait_ready(self, generator: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(PREPARE_SECONDS * 2):
                line = await _line(generator)
        except TimeoutError as error:
            raise LoadTestError(f"the services do not answer{IS_IT_RUNNING}") from error
        if not line:
            raise LoadTestError("a generator ended before it could begin; its error is printed above")
        message = json.loads(line)
        if "error" in message:
            raise LoadTestError(f"the services do not answer ({message['error']}){IS_IT_RUNNING}")
        if not message["videos"]:
            raise LoadTestError("there are no videos to ask for: load some with `python -m sampledata`")

    def _set_rate(self, generators: list[asyncio.subprocess.Process], rate: float) -> None:
        for generator in generators:
            _send(generator, f"rate {rate / len(generators)}")

    async def _read(self, generator: asyncio.subprocess.Process, result: Result) -> None:
        """Add all messages of a generator to the result, until it ends."""
        cpu: list[tuple[float, float]] = []
        while line := await _line(generator):
            message = json.loads(line)
            if "methods" in message:
                for name, encoded in message["methods"].items():
                    result.methods.setdefault(name, new_histogram()).add(decode(encoded))
                continue
            cpu.append((message["time"], message["cpu"]))
            self._add(message, result)
        if len(cpu) > 1 and cpu[-1][0] > cpu[0][0]:
            result.generator_cpu.append((cpu[-1][1] - cpu[0][1]) / (cpu[-1][0] - cpu[0][0]))

    def _add(self, message: dict[str, Any], result: Result) -> None:
        """Add one generator's second to the sum; the second is part of the result when all generators have reported it."""
        number = round(message["time"] - result.started)
        second = self._unfinished.setdefault(number, Second(number))
        second.rate += message["rate"]
        second.visits += message["visits"]
        second.not_sent += message["not_sent"]
        second.in_flight += message["in_flight"]
        second.latencies.add(decode(message["latencies"]))
        for method, outcome, count in message["outcomes"]:
            second.outcomes[outcome] += count
            result.outcomes.setdefault(method, Counter())[outcome] += count
        for service, instances in message["instances"].items():
            for address, calls in instances.items():
                calls_by_address = second.instances.setdefault(service, {})
                calls_by_address[address] = calls_by_address.get(address, 0) + calls
        self._reports[number] += 1
        if self._reports[number] == self._count:
            result.seconds.append(self._unfinished.pop(number))
            self._on_second(result)


async def _sample_cpu(steps: StepRunner) -> None:
    """Read the CPU time of each process every few seconds, so that those that end during the run are counted too."""
    while True:
        await asyncio.sleep(_CPU_SECONDS)
        await asyncio.to_thread(steps.cpu_seconds)


def _send(generator: asyncio.subprocess.Process, command: str) -> None:
    if generator.stdin and not generator.stdin.is_closing():
        generator.stdin.write(f"{command}\n".encode())


async def _line(generator: asyncio.subprocess.Process) -> bytes:
    """The next line of a generator; empty when it has ended."""
    return await generator.stdout.readline() if generator.stdout else b""
