"""Cassandra is killed again and again under writes of every kind: what it acknowledged is there when it is back."""

import asyncio

from tests.chaos.world import Measurement, World
from tests.chaos.writers import SLUGS, Calls, Writers
from tests.processes import ServiceProcess

KILLS = 10
WRITES_A_SECOND = 60.0
_SECONDS_OF_WRITES = 4.0


async def cassandra_killed(world: World) -> list[Measurement]:
    """`kill -9` of the only node, ten times, under 60 writes a second."""
    process = ServiceProcess(SLUGS, world.folder, world.environment)
    process.start()
    calls = Calls(process.address)
    acknowledged, lost = 0, dict[str, int]()
    try:
        await world.until(process.is_ready, 90, "the services serve")
        for _ in range(KILLS):
            async with Writers(calls, WRITES_A_SECOND) as writers:
                await asyncio.sleep(_SECONDS_OF_WRITES)
                await asyncio.to_thread(world.cassandra.kill)
            await asyncio.to_thread(world.cassandra.start)
            await asyncio.to_thread(world.cassandra.wait_ready, 600)
            await world.until(process.is_ready, 60, "the services serve again")
            acknowledged += sum(write.status == "OK" for write in writers.written)
            for kind, count in (await writers.lost()).items():
                lost[kind] = lost.get(kind, 0) + count
    finally:
        await calls.close()
        await asyncio.to_thread(process.stop)
    fault = f"Cassandra killed {KILLS} times under {WRITES_A_SECOND:g} writes/s: acknowledged and lost"
    note = f"{acknowledged} acknowledged{f', lost: {lost}' if lost else ''}"
    return [Measurement("data", fault, 0, sum(lost.values()), "writes", note, holds=acknowledged > 0)]
