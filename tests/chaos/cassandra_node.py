"""One of three Cassandra nodes is killed, paused, or cut off from the others and from the services, under writes of every kind.

`python -m tests.chaos.cassandra_node FOLDER`: the trial itself, in a network of its own.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from infra.cassandra import Cassandra, cassandra_cluster
from infra.etcd import Etcd
from infra.ports import free_port
from tests.chaos.own_network import cut_off, enter, report, run_inside
from tests.chaos.world import Measurement, World
from tests.chaos.writers import REPEATABLE, SLUGS, Calls, Writers
from tests.database.keyspace import in_agreement
from tests.processes import ServiceProcess, run_module

PROMISE = "data"
DRIVERS = ("acsylla", "cassandra-driver")
DEADLINE_SECONDS = 10.0
_SLACK_SECONDS = 1.0
_BEFORE, _DURING = 4.0, 26.0
_KNOWN_SECONDS = 60.0
_REPLICATION = "{'class': 'SimpleStrategy', 'replication_factor': 3}"


class Fault(NamedTuple):
    """What is done to a node, and how it ends."""

    begin: Callable[[], object]
    end: Callable[[], object]


async def cassandra_node(world: World) -> list[Measurement]:
    """One of three nodes is lost in three ways: no write that may be repeated fails, and no write is lost or counted twice."""
    return await run_inside(world, __name__)


def main() -> None:
    """Run each fault with each driver, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--drivers", default=",".join(DRIVERS))
    parser.add_argument("--faults", default="killed,paused,cut off")
    arguments = parser.parse_args()
    enter("127.0.0.1", "127.0.0.2", "127.0.0.3")
    asyncio.run(_run(arguments.folder, arguments.drivers.split(","), arguments.faults.split(",")))


async def _run(folder: Path, drivers: list[str], names: list[str]) -> None:
    with ExitStack() as stack:
        etcd = stack.enter_context(Etcd(folder / "etcd", free_port()))
        environment = {"KILLRVIDEO_ETCD": etcd.address, "KILLRVIDEO_CASSANDRA_REPLICATION": _REPLICATION}

        def make_tables(node: Cassandra) -> None:
            environment["KILLRVIDEO_DSE_CONTACT_POINTS"] = node.address
            run_module("schema", environment=environment, folder=folder, timeout=300)

        cluster = cassandra_cluster(folder, 3, ready_seconds=300, prepare=make_tables)
        nodes = stack.enter_context(cluster)
        environment["KILLRVIDEO_DSE_CONTACT_POINTS"] = ",".join(node.address for node in nodes)
        await _until(lambda: in_agreement(nodes), 300, "three nodes that know each other")
        for driver in drivers:
            process = ServiceProcess(SLUGS, folder, {**environment, "KILLRVIDEO_CASSANDRA_DRIVER": driver})
            process.start()
            try:
                await asyncio.to_thread(process.wait_ready, 300)
                for name in names:
                    report(await _trial(process, nodes, name, driver))
            finally:
                await asyncio.to_thread(process.stop)


async def _trial(process: ServiceProcess, nodes: list[Cassandra], name: str, driver: str) -> list[Measurement]:
    calls, log = Calls(process.address, DEADLINE_SECONDS), len(process.log_text())
    fault, lost_node, first = _fault(nodes, name), nodes[-1], nodes[0]
    async with Writers(calls) as writers:
        await asyncio.sleep(_BEFORE)
        seen = _times_down(first, lost_node)
        began = time.monotonic()
        await asyncio.to_thread(fault.begin)
        known = None
        while time.monotonic() - began < _DURING:
            await asyncio.sleep(0.05)
            if known is None and _times_down(first, lost_node) > seen:
                known = time.monotonic() - began
    while known is None and time.monotonic() - began < _KNOWN_SECONDS:
        await asyncio.sleep(0.05)
        if _times_down(first, lost_node) > seen:
            known = time.monotonic() - began
    await asyncio.to_thread(fault.end)
    await asyncio.to_thread(lost_node.wait_ready, 300)
    await _until(lambda: in_agreement(nodes), 120, "three nodes that know each other again")
    lost, doubled = await writers.lost(), await writers.doubled()
    await calls.close()
    away = "Cassandra is away" in process.log_text()[log:]
    return _rows(f"one of three Cassandra nodes {name}, {driver}", writers, known, (lost, doubled), away)


def _fault(nodes: list[Cassandra], name: str) -> Fault:
    """The fault of that name, of the last node."""
    node, others = nodes[-1], [other.host for other in nodes[:-1]]
    return {
        "killed": Fault(node.kill, node.start),
        "paused": Fault(node.pause, node.resume),
        "cut off": Fault(lambda: cut_off(node.host, others), lambda: cut_off(node.host, others, cut=False)),
    }[name]


def _rows(
    fault: str, writers: Writers, known: float | None, found: tuple[dict[str, int], dict[str, int]], away: bool
) -> list[Measurement]:
    lost, doubled = found
    once = ("play", "user")
    of_once = 100 * writers.failed(*once) / max(1, len(writers.of(*once)))
    longest = max(write.seconds for write in writers.written)
    return [
        Measurement(
            PROMISE,
            f"{fault}: writes that may be repeated, failed",
            0,
            writers.failed(*REPEATABLE),
            "writes",
            str(writers),
        ),
        Measurement(PROMISE, f"{fault}: plays and new users whose result is unknown", 2, of_once, "%"),
        Measurement(PROMISE, f"{fault}: the longest call", DEADLINE_SECONDS + _SLACK_SECONDS, longest),
        Measurement(PROMISE, f"{fault}: acknowledged and lost", 0, sum(lost.values()), "writes", str(lost or "")),
        Measurement(PROMISE, f"{fault}: counted twice", 0, sum(doubled.values()), "writes", str(doubled or "")),
        Measurement(
            PROMISE, f"{fault}: until the ring knows", _KNOWN_SECONDS, _KNOWN_SECONDS if known is None else known
        ),
        Measurement(PROMISE, f"{fault}: the services believe that Cassandra is away", 0, int(away), "times"),
    ]


def _times_down(witness: Cassandra, node: Cassandra) -> int:
    """How often a node has logged that another is down."""
    log = (witness.data / "system.log").read_text(encoding="utf-8", errors="replace")
    return log.count(f"{node.host}:{node.storage_port} is now DOWN")


async def _until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    ends = time.monotonic() + timeout
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < ends, f"not within {timeout:.0f} s: {what}"
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
