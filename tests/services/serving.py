"""A servicer behind a real gRPC server on a free port, with the interceptor that every service has."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from common.settings import Settings
from grpc_discovery.serving.server import new_server


@asynccontextmanager
async def serving(servicer: Any, register: Callable[[Any, aio.Server], None]) -> AsyncIterator[aio.Channel]:
    """A channel to a server that has `servicer` registered."""
    async with served_at(servicer, register) as address, aio.insecure_channel(address) as channel:
        yield channel


@asynccontextmanager
async def served_at(servicer: Any, register: Callable[[Any, aio.Server], None]) -> AsyncIterator[str]:
    """The address of a server that has `servicer` registered."""
    server, _ = new_server(Settings.load(), "killrvideo")
    register(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def bad_fields(error: aio.AioRpcError) -> set[str]:
    """The fields that an INVALID_ARGUMENT names in its google.rpc.BadRequest."""
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    metadata: Any = error.trailing_metadata()
    detail = error_details_pb2.BadRequest()
    status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details[0].Unpack(detail)
    return {violation.field for violation in detail.field_violations}
