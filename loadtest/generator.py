"""One generator process: visits arrive by a Poisson process, and every call is counted from the moment it was due.

It is told what to do by lines on standard input (`start UNIXTIME`, `rate N`, `stop`) and tells each second what came of it by one JSON
line on standard output. The parent in loadtest/run puts the lines of all generators together.
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
from grpc.aio import AioRpcError
from hdrh.histogram import HdrHistogram

from client import Services
from common.catalogue import SERVICES
from loadtest.calls import Visitors
from loadtest.workload import Workload

MOST_IN_FLIGHT = 2000
MOST_LATE_SECONDS = 1.0
"""A visit that cannot be begun within this time of its due moment is counted as not sent: the generator fell behind."""
PREPARE_SECONDS = 15.0


def histogram() -> HdrHistogram:
    """Latencies in microseconds, from 1 us to 60 s, to three digits."""
    return HdrHistogram(1, 60_000_000, 3)


class Generator:
    """Makes visits at a rate that may change, and counts."""

    def __init__(self, workload: Workload, services: Services, seed: int) -> None:
        self._workload, self._services = workload, services
        self._visitors = Visitors(services, seed, workload.zipf)
        self._random = random.Random(seed)
        self._actions, self._weights = zip(*workload.mix.items(), strict=True)
        self.rate = 0.0
        self._under_way: set[asyncio.Task[None]] = set()
        self._fresh()
        self.methods: dict[str, HdrHistogram] = {}

    def _fresh(self) -> None:
        self._interval = histogram()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._begun = self._not_sent = 0
        self._latest = 0.0

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
                await asyncio.sleep(0)  # behind its schedule, it must still let answers in
            if self.rate > 0:
                self._begin(due)
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=self._workload.timeout + 1)
            for visit in late:
                visit.cancel()
            if late:
                await asyncio.wait(late)

    def _begin(self, due: float) -> None:
        late = time.time() - due
        self._latest = max(self._latest, late)
        if late > MOST_LATE_SECONDS or len(self._under_way) >= MOST_IN_FLIGHT:
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

    async def _call(self, name: str, method: Any, request: Any, due: float) -> Any:
        answer, outcome = None, "OK"
        try:
            answer = await method(request, timeout=self._workload.timeout)
        except AioRpcError as error:
            outcome = error.code().name
        except asyncio.CancelledError:
            outcome = "UNFINISHED"
            raise
        except Exception as error:  # whatever it is, it is a call that failed, and it is counted
            outcome = type(error).__name__
        finally:
            microseconds = max(1, round((time.time() - due) * 1e6))
            self._interval.record_value(microseconds)
            self.methods.setdefault(name, histogram()).record_value(microseconds)
            self._outcomes[name, outcome] += 1
        return answer

    def snapshot(self) -> dict[str, Any]:
        """What happened since the last snapshot."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        told = {
            "at": time.time(),
            "rate": self.rate,
            "visits": self._begun,
            "not_sent": self._not_sent,
            "latest_ms": round(self._latest * 1000, 1),
            "outcomes": [[method, outcome, count] for (method, outcome), count in self._outcomes.items()],
            "latencies": self._interval.encode().decode(),
            "in_flight": len(self._under_way),
            "cpu": usage.ru_utime + usage.ru_stime,
            "instances": {
                service: {
                    address: endpoint.calls for address, endpoint in self._services.pool(service).endpoints.items()
                }
                for service in SERVICES
            },
        }
        self._fresh()
        return told


async def work(workload: Workload, number: int) -> None:
    """One generator's life."""
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    stop = asyncio.Event()
    async with Services.from_settings() as services:
        generator = Generator(workload, services, seed=number)
        tell({"videos": await generator.prepare()})
        running: asyncio.Task[None] | None = None
        telling: asyncio.Task[None] | None = None
        while line := (await commands.readline()).decode().split():
            if line[0] == "rate":
                generator.rate = float(line[1])
            elif line[0] == "start":
                running = asyncio.create_task(generator.run(float(line[1]), stop))
                telling = asyncio.create_task(tell_each_second(generator, float(line[1])))
                running.add_done_callback(lambda _: stop.set())
            elif line[0] == "stop":
                break
        stop.set()  # also when the parent is gone: nobody is left to count for
        if running and telling:
            await running
            telling.cancel()
            generator.rate = 0.0  # the last second was told of with its rate already
            tell(generator.snapshot())
        tell({"methods": {name: each.encode().decode() for name, each in generator.methods.items()}})


async def tell_each_second(generator: Generator, start: float) -> None:
    """One snapshot a second, on the second."""
    second = 1
    while True:
        await asyncio.sleep(max(0.0, start + second - time.time()))
        tell(generator.snapshot())
        second += 1


def tell(message: dict[str, Any]) -> None:
    """One JSON line for the parent."""
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    uvloop.run(work(Workload.model_validate_json(sys.argv[1]), int(sys.argv[2])))
