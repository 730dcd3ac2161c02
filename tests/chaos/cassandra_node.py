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
from tests.chaos.own_network import FAR_HOST, NEAR_HOSTS, Cable, enter, far_network, report, run_inside
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
    enter()
    asyncio.run(_run(arguments.folder, arguments.drivers.split(","), arguments.faults.split(",")))


async def _run(folder: Path, drivers: list[str], names: list[str]) -> None:
    with ExitStack() as stack:
        etcd = stack.enter_context(Etcd(folder / "etcd", free_port()))
        environment = {"KILLRVIDEO_ETCD": etcd.address, "KILLRVIDEO_CASSANDRA_REPLICATION": _REPLICATION}

        def make_tables(node: Cassandra) -> None:
            environment["KILLRVIDEO_DSE_CONTACT_POINTS"] = node.address
            run_module("schema", environment=environment, folder=folder, timeout=300)

        cable = stack.enter_context(far_network(folder))
        hosts, prefixes = (*NEAR_HOSTS, FAR_HOST), {FAR_HOST: cable.prefix}
        cluster = cassandra_cluster(folder, hosts=hosts, prefixes=prefixes, ready_seconds=300, prepare=make_tables)
        nodes = stack.enter_context(cluster)
        environment["KILLRVIDEO_DSE_CONTACT_POINTS"] = ",".join(node.address for node in nodes)
        await _until(lambda: in_agreement(nodes), 300, "three nodes that know each other")
        for driver in drivers:
            process = ServiceProcess(SLUGS, folder, {**environment, "KILLRVIDEO_CASSANDRA_DRIVER": driver})
            process.start()
            try:
                await asyncio.to_thread(process.wait_ready, 300)
                for name in names:
                    report(await _trial(process, nodes, _fault(nodes[-1], cable, name), f"{name}, {driver}"))
            finally:
                await asyncio.to_thread(process.stop)


async def _trial(process: ServiceProcess, nodes: list[Cassandra], fault: Fault, name: str) -> list[Measurement]:
    """Do the fault to the last node under writes, end it, and judge all writes once the ring is whole again. `name` is for the rows."""
    calls, log = Calls(process.address, DEADLINE_SECONDS), len(process.log_text())
    first, lost_node = nodes[0], nodes[-1]
    async with Writers(calls) as writers:
        await asyncio.sleep(_BEFORE)
        assert not _is_down(first, lost_node), f"{lost_node.host} is down before it is {name}"
        noticing = asyncio.create_task(_seconds_until_down(first, lost_node))
        await asyncio.to_thread(fault.begin)
        await asyncio.sleep(_DURING)
    known = await noticing
    await asyncio.to_thread(fault.end)
    await asyncio.to_thread(lost_node.wait_ready, 300)
    await _until(lambda: not _is_down(first, lost_node), 120, f"{lost_node.host} is up again")
    await _until(lambda: in_agreement(nodes), 120, "three nodes that know each other again")
    lost, doubled = await writers.lost(), await writers.doubled()
    await calls.close()
    away = "Cassandra is away" in process.log_text()[log:]
    return _rows(f"one of three Cassandra nodes {name}", writers, known, (lost, doubled), away)


def _fault(node: Cassandra, cable: Cable, name: str) -> Fault:
    """The fault of that name, of the node at the far end of the cable."""
    return {
        "killed": Fault(node.kill, node.start),
        "paused": Fault(node.pause, node.resume),
        "cut off": Fault(cable.cut, cable.mend),
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
        _noticed(fault, known),
        Measurement(PROMISE, f"{fault}: the services believe that Cassandra is away", 0, int(away), "times"),
    ]


def _noticed(fault: str, known: float | None) -> Measurement:
    """When the ring noticed. A fault that it did not notice (None) was none, and the other rows say nothing."""
    seconds, note = (_KNOWN_SECONDS, "it did not notice") if known is None else (known, "")
    return Measurement(
        PROMISE, f"{fault}: until the ring knows", _KNOWN_SECONDS, seconds, note=note, holds=known is not None
    )


async def _seconds_until_down(witness: Cassandra, node: Cassandra) -> float | None:
    """After how many seconds from now one node believes that another is down; None if it does not within _KNOWN_SECONDS."""
    began = time.monotonic()
    while time.monotonic() - began < _KNOWN_SECONDS:
        if _is_down(witness, node):
            return time.monotonic() - began
        await asyncio.sleep(0.05)
    return None


def _is_down(witness: Cassandra, node: Cassandra) -> bool:
    """Whether the last that a node has logged of another is that it is down."""
    log = (witness.data / "system.log").read_text(encoding="utf-8", errors="replace")
    who = f"{node.host}:{node.storage_port} is now"
    return log.rfind(f"{who} DOWN") > log.rfind(f"{who} UP")


async def _until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    ends = time.monotonic() + timeout
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < ends, f"not within {timeout:.0f} s: {what}"
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
