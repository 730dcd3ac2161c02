"""Which alerts fire in which fault, and after how long: a real Prometheus with the project's rules watches the instances."""

import asyncio

from tests.chaos.world import Measurement, World
from tests.observability.prometheus import prometheus


async def alerts(world: World) -> list[Measurement]:
    """One of two instances is killed; etcd goes away and comes back; so does Cassandra."""
    with prometheus(world.folder / "prometheus", world.environment) as watching:

        async def fires(alert: str, within: float, **labels: str) -> float:
            return await world.until(lambda: watching.firing(alert, **labels), within, f"{alert} fires")

        async def ends(alert: str, within: float, **labels: str) -> float:
            return await world.until(lambda: not watching.firing(alert, **labels), within, f"{alert} ends")

        async with world.instances(2) as (first, second):
            targets = 'count(up{job="killrvideo"} == 1) == 2'
            await world.until(lambda: bool(watching.query(targets)), 30, "both are scraped")
            first.kill()
            killed = await fires("InstanceLost", 30, instance=f"127.0.0.1:{first.port + 1000}")
            first.start()
            await world.until(first.is_ready, 60, "it serves again")

            await asyncio.to_thread(world.etcd.kill)
            etcd_away = await fires("RegistrationLost", 40)
            await asyncio.to_thread(world.etcd.start)
            etcd_back = await ends("RegistrationLost", 40)

            await asyncio.to_thread(world.cassandra.kill)
            cassandra_away = await fires("CassandraAway", 40)
            nobody = await fires("ServiceLost", 60, service="CommentsService")
            held = watching.firing("CassandraAway")
            await asyncio.to_thread(world.cassandra.start)
            await asyncio.to_thread(world.cassandra.wait_ready, 600)
            await world.until(lambda: world.serves(first) and world.serves(second), 60, "both serve")
            back = await ends("CassandraAway", 60)
    return [
        Measurement("alerts", "kill -9 of one of two: InstanceLost fires", 15, killed),
        Measurement("alerts", "etcd killed: RegistrationLost fires", 25, etcd_away),
        Measurement("alerts", "etcd back: it ends", 20, etcd_back),
        Measurement("alerts", "Cassandra killed: CassandraAway fires", 20, cassandra_away),
        Measurement("alerts", "the same: ServiceLost fires, besides, when all have left", 45, nobody, holds=held),
        Measurement("alerts", "Cassandra back and both serve: CassandraAway ends", 20, back),
    ]
