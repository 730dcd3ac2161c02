"""Servers in this process that stand for instances: the greeter of the examples, with its health, on any port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from infra.ports import free_port

GREETER = "acme.greeter.v1.Greeter"


class Instance(GreeterServicer):
    """An instance that answers after `takes` seconds, or fails with `status`, and counts what it was asked."""

    def __init__(self, port: int | None = None, *, host: str = "127.0.0.1", tells_health: bool = True) -> None:
        self.port = port or free_port()
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.takes = 0.0
        self.status: grpc.StatusCode | None = None
        self.details = "as the test wants it"
        self.asked = 0
        self.metadata: dict[str, str | bytes] = {}
        self.signed: list[str] = []
        self.health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs leave it out
        self.health_names = ["", GREETER]
        self._tells_health = tells_health
        self._server: aio.Server | None = None

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Serve, with TLS if there are credentials."""
        self._server = aio.server(options=[("grpc.so_reuseport", 0), ("grpc.http2.max_ping_strikes", 0)])
        self.add_to(self._server)
        if self._tells_health:
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        if credentials:
            assert self._server.add_secure_port(self.address, credentials)
        else:
            assert self._server.add_insecure_port(self.address)
        await self.set_health(True)
        await self._server.start()

    def add_to(self, server: aio.Server) -> None:
        """Add what it serves besides its health."""
        add_GreeterServicer_to_server(self, server)

    async def set_health(self, serving: bool) -> None:
        """Tell callers whether it serves."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self.health_names:
            await self.health.set(name, status)

    async def stop(self, grace: float | None = None) -> None:
        """Stop serving; calls under way have `grace` seconds."""
        if self._server:
            await self._server.stop(grace)

    async def _answer(self, context: grpc.aio.ServicerContext) -> None:  # type: ignore[type-arg]
        self.asked += 1
        self.metadata = dict(context.invocation_metadata() or ())
        context.set_trailing_metadata((("served-by", self.address),))
        await asyncio.sleep(self.takes)
        if self.status:
            await context.abort(self.status, self.details)

    def _reply(self, text: str) -> HelloReply:
        return HelloReply(text=text, instance=self.address)

    async def SayHello(self, request: HelloRequest, context: grpc.aio.ServicerContext) -> HelloReply:  # type: ignore[type-arg]
        """Greet, and say which instance it is."""
        await context.send_initial_metadata((("begun-by", self.address),))
        await self._answer(context)
        return self._reply(f"Hello, {request.name}" * max(1, request.times))

    async def SignGuestbook(self, request: HelloRequest, context: grpc.aio.ServicerContext) -> HelloReply:  # type: ignore[type-arg]
        """Keep the name."""
        await self._answer(context)
        self.signed.append(request.name)
        return self._reply(f"You are number {len(self.signed)}")

    async def SayHelloOften(
        self,
        request: HelloRequest,
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> AsyncIterator[HelloReply]:
        """Greet so many times."""
        await context.send_initial_metadata((("begun-by", self.address),))
        await self._answer(context)
        for number in range(request.times):
            yield self._reply(f"Hello for the {number + 1}. time, {request.name}")
            if request.name == "break":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "in the middle")

    async def GreetTogether(
        self,
        requests: AsyncIterator[HelloRequest],
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> HelloReply:
        """Greet all at once."""
        names = [request.name async for request in requests]
        await self._answer(context)
        return self._reply(f"Hello, {' and '.join(names)}")

    async def Chat(
        self,
        requests: AsyncIterator[HelloRequest],
        context: grpc.aio.ServicerContext,  # type: ignore[type-arg]
    ) -> AsyncIterator[HelloReply]:
        """Answer each at once."""
        await self._answer(context)
        async for request in requests:
            yield self._reply(f"Hello, {request.name}")


@asynccontextmanager
async def instances(count: int, make: Callable[[], Instance] = Instance) -> AsyncIterator[list[Instance]]:
    """So many instances that serve."""
    started = [make() for _ in range(count)]
    for instance in started:
        await instance.start()
    try:
        yield started
    finally:
        for instance in started:
            await instance.stop()
