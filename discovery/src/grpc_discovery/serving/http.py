"""A small HTTP server on the event loop of the process, for tools: no thread of its own, nothing that wakes an idle process."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from grpc_discovery.addresses import Address
from grpc_discovery.serving.server import PortTaken

_MAX_CONNECTIONS = 64


@asynccontextmanager
async def serve_http(app: Any, host: str, port: int, advice: str) -> AsyncIterator[int]:
    """Serve an ASGI application until the block is left; yields the port (`port` 0 takes a free one).

    Raises PortTaken, whose text ends with `advice`: what chooses another port.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        http="h11",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with _bound(host, port, advice) as listening:
        # Its serve() would take the signals, which are the process's, and wake up ten times a second.
        await server.startup([listening])
        try:
            yield listening.getsockname()[1]
        finally:
            await server.shutdown([listening])


def _bound(host: str, port: int, advice: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise PortTaken(f"cannot listen on {Address(host, port)} ({reason}); {advice}") from error


async def reply(send: Any, status: int, content_type: str, body: bytes) -> None:
    """Answer a request."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
