"""Instances restarted one after the other, added and removed."""

import asyncio

from grpc_discovery.balancing.endpoint import Health
from tests.chaos.load import Load
from tests.chaos.world import RATE, SERVICE, Measurement, World
from tests.processes import ServiceProcess


async def rolling_restart(world: World) -> list[Measurement]:
    """Each of two is stopped and started again, the next only when the first serves."""
    async with world.instances(2) as processes, world.caller() as services, Load(services, RATE) as load:
        await load.run(1)
        for process in processes:
            await asyncio.to_thread(process.restart)
            await world.until(process.is_ready, 60, "it serves again")
        await load.run(1)
        await load.__aexit__(None, None, None)
        lost_or_doubled = await load.lost_or_doubled()
    return [
        Measurement(
            "13",
            f"rolling restart under {RATE:g} calls/s: failed calls",
            0,
            sum(load.failed.values()),
            "calls",
            str(load),
        ),
        Measurement("13", "comments acknowledged meanwhile and lost, or there twice", 0, lost_or_doubled, "comments"),
    ]


async def scaling(world: World) -> list[Measurement]:
    """2 -> 4 -> 2 under load."""
    async with world.instances(2) as old, world.caller() as services, Load(services, RATE) as load:
        pids = [process.pid for process in old]
        await load.run(1)
        async with world.instances(2) as new:
            called_after = 0.0
            for process in new:

                def is_called(process: ServiceProcess = process) -> bool:
                    endpoint = services.pool(SERVICE).endpoints.get(process.address)
                    return endpoint is not None and endpoint.health is Health.SERVING

                called_after = max(called_after, await world.until(is_called, 20, "a new instance is called"))
            await load.run(2)
        await load.run(1)
        same = pids == [process.pid for process in old] and all(process.alive for process in old)
    return [
        Measurement("13", "2 to 4: a new instance is called", 5, called_after, holds=same),
        Measurement(
            "13", f"2 to 4 to 2 under {RATE:g} calls/s: failed calls", 0, sum(load.failed.values()), "calls", str(load)
        ),
    ]
