"""Cassandra is killed and started again under the services; etcd is started after them."""

import asyncio
import time
import uuid

import grpc

from protos import comments_pb2 as comments
from protos import comments_pb2_grpc
from protos.common_pb2 import Uuid
from tests.chaos.world import Measurement, World
from tests.processes import ServiceProcess


async def cassandra_away(world: World) -> list[Measurement]:
    """Cassandra is killed and started again."""
    async with world.instances(2) as processes:
        pids = [process.pid for process in processes]
        await asyncio.to_thread(world.cassandra.kill)
        unhealthy = await world.until(
            lambda: not any(world.serves(process) for process in processes), 30, "health turns NOT_SERVING"
        )
        withdrawn = await world.until(lambda: not world.advertised(), 20, "nobody is advertised")
        status, took = await asyncio.to_thread(_one_call, processes[0])
        await asyncio.to_thread(world.cassandra.start)
        await asyncio.to_thread(world.cassandra.wait_ready, 600)
        healthy = await world.until(
            lambda: all(world.serves(process) for process in processes), 60, "health turns SERVING"
        )
        back = await world.until(lambda: len(world.advertised()) == 2, 20, "both are advertised")
        same = pids == [process.pid for process in processes] and all(process.alive for process in processes)
    return [
        Measurement("6", "Cassandra killed: health NOT_SERVING", 10, unhealthy, holds=same),
        Measurement("6", "the same: nobody is advertised any more, spread over 2 s", 2 + 2, withdrawn),
        Measurement(
            "6", "a call meanwhile fails with UNAVAILABLE after", 2, took, note=status, holds=status == "UNAVAILABLE"
        ),
        Measurement("6", "Cassandra back: healthy", 10, healthy),
        Measurement("6", "the same: advertised again", 2 + 2, back),
    ]


async def any_order(world: World) -> list[Measurement]:
    """A service is started first, then etcd."""
    await asyncio.to_thread(world.etcd.stop)
    process = world.instance()
    process.start()
    await asyncio.sleep(4)
    waited = process.alive and not world.serves(process)
    await asyncio.to_thread(world.etcd.start)
    await world.until(world.etcd.is_ready, 20, "etcd is there")
    ready = await world.until(process.is_ready, 60, "the service serves")
    await asyncio.to_thread(process.stop)
    return [Measurement("7", "etcd last to start: serving and advertised", 10, ready, holds=waited)]


def _one_call(process: ServiceProcess) -> tuple[str, float]:
    began = time.monotonic()
    with grpc.insecure_channel(process.address) as channel:
        try:
            request = comments.GetVideoCommentsRequest(video_id=Uuid(value=str(uuid.uuid4())), page_size=5)
            comments_pb2_grpc.CommentsServiceStub(channel).GetVideoComments(request, timeout=10)
            status = "OK"
        except grpc.RpcError as error:
            status = error.code().name
    return status, time.monotonic() - began
