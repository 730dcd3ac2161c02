"""The server of the floor: `python -m benchmarks.floor SERVICE PORT CASSANDRA_HOST CASSANDRA_PORT KEYSPACE`, one service a process, as ours."""

import asyncio
import signal
import sys
from typing import Any

import uvloop
from grpc import aio

from benchmarks.floor.servicers import Comments, Ratings, Statistics, Users
from benchmarks.floor.session import Session
from benchmarks.floor.videos import VideoCatalog
from protos.comments_pb2_grpc import add_CommentsServiceServicer_to_server
from protos.ratings_pb2_grpc import add_RatingsServiceServicer_to_server
from protos.statistics_pb2_grpc import add_StatisticsServiceServicer_to_server
from protos.user_management_pb2_grpc import add_UserManagementServiceServicer_to_server
from protos.video_catalog_pb2_grpc import add_VideoCatalogServiceServicer_to_server

_SERVICERS: dict[str, tuple[Any, Any]] = {
    "comments": (Comments, add_CommentsServiceServicer_to_server),
    "ratings": (Ratings, add_RatingsServiceServicer_to_server),
    "statistics": (Statistics, add_StatisticsServiceServicer_to_server),
    "user_management": (Users, add_UserManagementServiceServicer_to_server),
    "video_catalog": (VideoCatalog, add_VideoCatalogServiceServicer_to_server),
}


async def _serve(slug: str, port: int, host: str, cassandra_port: int, keyspace: str) -> None:
    server = aio.server()
    servicer, register = _SERVICERS[slug]
    register(servicer(Session(host, cassandra_port, keyspace)), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]))
