"""`python -m tests.fuzz`: 100,000 forged paging tokens of all lists and 100,000 requests of all calls, to a process of each service.

--count 1000      fewer of each
--seed 5          the same ones again (the seed of a run is printed)
--only tokens     tokens or messages
--max-seconds 5   what a call may take, for a machine that is busy with something else (default 1)

Exit code 1 when an answer is not allowed, a call took too long, a step held the loop of a service for more than 50 ms of CPU time, or a service
had more than 256 MiB in memory.
"""

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis.errors import Flaky

from common.settings import PREFIX
from infra.cassandra import Cassandra
from infra.etcd import Etcd
from infra.ports import free_port
from tests.fuzz.fuzzing import MAX_HOLD_SECONDS, Broken, fuzz_messages, fuzz_tokens
from tests.fuzz.served import LINE
from tests.fuzz.world import World, in_processes, resident_mib
from tests.processes import SERVICES, ServiceProcess, run_module

MAX_MIB = 256
READY_SECONDS = 300.0

PARTS: dict[str, Callable[[World, int, int], None]] = {"tokens": fuzz_tokens, "messages": fuzz_messages}


def main() -> int:
    """Fuzz everything, print what was found and what it took, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--max-seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, ExitStack() as stack:
        processes = _start(Path(folder), stack)
        found = []
        with in_processes({SERVICES[slug]: process.address for slug, process in processes.items()}) as world:
            for process in processes.values():
                process.send(signal.SIGUSR1)  # what its start took does not count
            for part in [arguments.only] if arguments.only else PARTS:
                found += _fuzz(part, world, arguments.count, arguments.seed, arguments.max_seconds)
        found += [line for process in processes.values() for line in _measured(process)]
    print("\n".join(found) or "nothing was found")
    return 1 if found else 0


def _start(folder: Path, stack: ExitStack) -> dict[str, ServiceProcess]:
    """A process of each service, on an etcd and a Cassandra of their own, all stopped with `stack`."""
    etcd = stack.enter_context(Etcd(folder / "etcd", free_port()))
    cassandra = Cassandra(folder / "cassandra", free_port(), heap_mb=768)
    cassandra.start()
    stack.callback(cassandra.stop)
    cassandra.wait_ready(READY_SECONDS)
    environment = {"KILLRVIDEO_ETCD": etcd.address, "KILLRVIDEO_DSE_CONTACT_POINTS": cassandra.address}
    run_module("schema", environment=environment, folder=folder, timeout=READY_SECONDS)
    processes = {
        slug: ServiceProcess(slug, folder, {**environment, "KILLRVIDEO_LOGGING_LEVEL": "warning"}) for slug in SERVICES
    }
    for slug, process in processes.items():
        process.command = [sys.executable, "-m", "tests.fuzz.served", slug]
        process.start()
        stack.callback(process.stop)
    for process in processes.values():
        process.wait_ready(READY_SECONDS)
    return processes


def _fuzz(part: str, world: World, count: int, seed: int, max_seconds: float) -> list[str]:
    """Fuzz one part; returns what was wrong."""
    world.statuses.clear()
    world.slowest = (0.0, "")
    began = time.monotonic()
    found = []
    try:
        PARTS[part](world, count, seed)
    except (Broken, Flaky) as error:
        found.append(f"{part}: {''.join(traceback.format_exception(error))[-4000:]}")
    seconds, call = world.slowest
    print(f"{part}: {sum(world.statuses.values()):,} calls in {time.monotonic() - began:,.0f} s: {world.statuses}")
    print(f"{part}: the slowest call took {seconds:.2f} s: {call}", flush=True)
    if seconds > max_seconds:
        found.append(f"{part}: {call} took {seconds:.2f} s, more than {max_seconds:g}")
    return found


def _measured(process: ServiceProcess) -> list[str]:
    """What was wrong with a process: its memory, and how long a step of its loop took, of which it tells when it is asked."""
    found = []
    mib = resident_mib(process.pid)
    process.send(signal.SIGUSR1)
    process.stop()
    told = re.findall(LINE.format(r"([\d.]+)", "(.*)"), process.log_text())
    hold, what = float(told[-1][0]), told[-1][1]
    print(f"{process.name}: at most {mib:.0f} MiB resident; longest step {hold:.1f} ms of CPU time, of {what}")
    if mib > MAX_MIB:
        found.append(f"{process.name} had {mib:.0f} MiB in memory, more than {MAX_MIB}")
    if hold > MAX_HOLD_SECONDS * 1000:
        found.append(
            f"{process.name}: a step of {what} took {hold:.0f} ms of CPU time, more than {MAX_HOLD_SECONDS * 1000:.0f}"
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
