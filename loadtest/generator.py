"""One generator process: visits arrive by a Poisson process, and every call is counted from the time when it was due.

It reads commands from standard input, one a line (`start UNIXTIME`, `rate N`, `stop`), and writes one JSON message a line to standard
output: first how many videos there are or why it cannot begin, then the figures of each second, and last the histograms of all calls.
The parent in loadtest/run adds up the messages of all generators.
"""

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from typing import Any

import uvloop
from google.protobuf.message import Message
from grpc.aio import AioRpcError, UnaryUnaryMultiCallable
from hdrh.histogram import HdrHistogram

from client import Services
from common.catalogue import SERVICES
from loadtest.calls import Visitors
from loadtest.histograms import encode, new_histogram, record
from loadtest.results import OK
from loadtest.workload import Workload

MAX_IN_FLIGHT = 2000
MAX_LATE_SECONDS = 1.0
"""A visit that cannot be begun within so many seconds after it was due is counted as not sent: the generator fell behind."""
PREPARE_SECONDS = 15.0


class Generator:
    """Makes visits at a rate that may change, and counts."""

    def __init__(self, workload: Workload, services: Services, seed: int) -> None:
        self._workload, self._services = workload, services
        self._visitors = Visitors(services, seed, workload.zipf)
        self._random = random.Random(seed)
        self._actions, self._weights = zip(*workload.mix.items(), strict=True)
        self.rate = 0.0
        self._under_way: set[asyncio.Task[None]] = set()
        self.methods: dict[str, HdrHistogram] = {}
        self._reset()

    def _reset(self) -> None:
        """Begin to count for the next snapshot."""
        self._latencies = new_histogram()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._begun = self._not_sent = 0

    async def prepare(self) -> int:
        """See Visitors.prepare."""
        return await self._visitors.prepare(self._workload.videos, PREPARE_SECONDS)

    async def run(self, start: float, stop: asyncio.Event) -> None:
        """Begin visits from `start` (unix time) for the workload's seconds or until `stop`; then wait for those under way."""
        due = start
        end = start + self._workload.seconds
        while not stop.is_set():
            due += self._random.expovariate(self.rate) if self.rate > 0 else 0.1
            if due > end:
                break
            wait = due - time.time()
            if wait > 0.0005:
                await asyncio.sleep(wait)
            elif self._begun % 64 == 0:
                await asyncio.sleep(0)  # a generator that is behind schedule must still receive answers
            if self.rate > 0:
                self._begin(due)
        if self._under_way:
            _, unfinished = await asyncio.wait(self._under_way, timeout=self._workload.timeout + 1)
            for visit in unfinished:
                visit.cancel()
            if unfinished:
                await asyncio.wait(unfinished)

    def _begin(self, due: float) -> None:
        if time.time() - due > MAX_LATE_SECONDS or len(self._under_way) >= MAX_IN_FLIGHT:
            self._not_sent += 1
            return
        self._begun += 1
        task = asyncio.create_task(self._visit(due))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _visit(self, due: float) -> None:
        (action,) = self._random.choices(self._actions, self._weights)
        visit = self._visitors.visit(action)
        answer: Any = None
        try:
            while True:
                method, request = await visit.asend(answer)
                answer = await self._call(type(request).__name__.removesuffix("Request"), method, request, due)
                due = time.time()  # the next call of a visit is due when the last one was answered
        except StopAsyncIteration:
            pass

    async def _call(self, name: str, method: UnaryUnaryMultiCallable[Any, Any], request: Message, due: float) -> Any:
        answer, outcome = None, OK
        try:
            answer = await method(request, timeout=self._workload.timeout)
        except AioRpcError as error:
            outcome = error.code().name
        except asyncio.CancelledError:
            outcome = "UNFINISHED"
            raise
        except Exception as error:  # any error makes it a failed call, which is counted
            outcome = type(error).__name__
        finally:
            latency = time.time() - due
            record(self._latencies, latency)
            record(self.methods.setdefault(name, new_histogram()), latency)
            self._outcomes[name, outcome] += 1
        return answer

    def snapshot(self) -> dict[str, Any]:
        """What happened since the last snapshot."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        message = {
            "time": time.time(),
            "rate": self.rate,
            "visits": self._begun,
            "not_sent": self._not_sent,
            "outcomes": [[method, outcome, count] for (method, outcome), count in self._outcomes.items()],
            "latencies": encode(self._latencies),
            "in_flight": len(self._under_way),
            "cpu": usage.ru_utime + usage.ru_stime,
            "instances": {
                service: {
                    address: endpoint.calls for address, endpoint in self._services.pool(service).endpoints.items()
                }
                for service in SERVICES
            },
        }
        self._reset()
        return message


async def work(workload: Workload, number: int) -> None:
    """One generator's life."""
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    stop = asyncio.Event()
    async with Services.from_settings() as services:
        generator = Generator(workload, services, seed=number)
        try:
            send({"videos": await generator.prepare()})
        except AioRpcError as error:
            send({"error": f"{error.code().name}: {error.details()}"})
            return
        running: asyncio.Task[None] | None = None
        sending: asyncio.Task[None] | None = None
        while line := (await commands.readline()).decode().split():
            if line[0] == "rate":
                generator.rate = float(line[1])
            elif line[0] == "start":
                running = asyncio.create_task(generator.run(float(line[1]), stop))
                sending = asyncio.create_task(send_each_second(generator, float(line[1])))
                running.add_done_callback(lambda _: stop.set())
            elif line[0] == "stop":
                break
        stop.set()  # also when the parent has ended: nobody reads the figures any more
        if running and sending:
            await running
            sending.cancel()
            generator.rate = 0.0  # the message of the last second held its rate already
            send(generator.snapshot())
        send({"methods": {name: encode(latencies) for name, latencies in generator.methods.items()}})


async def send_each_second(generator: Generator, start: float) -> None:
    """One snapshot a second, on the second."""
    second = 1
    while True:
        await asyncio.sleep(max(0.0, start + second - time.time()))
        send(generator.snapshot())
        second += 1


def send(message: dict[str, Any]) -> None:
    """Write one JSON line for the parent."""
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    uvloop.run(work(Workload.model_validate_json(sys.argv[1]), int(sys.argv[2])))
