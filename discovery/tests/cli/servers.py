"""A greeter in this process for the commands to find: with reflection in the versions that a test wants, and with errors that have details."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_status import rpc_status

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server

GREETER = "acme.greeter.v1.Greeter"
V1, V1ALPHA = (f"grpc.reflection.{version}.ServerReflection" for version in ("v1", "v1alpha"))


class Greeter(GreeterServicer):
    """Answers each kind of call."""

    async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
        said = dict(context.invocation_metadata()).get("greeting", "Hello")
        context.set_trailing_metadata((("said", "\x7e" + said),))
        return HelloReply(text=f"{said}, {request.name}!")

    async def SignGuestbook(self, request: HelloRequest, context: Any) -> HelloReply:
        status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="name is \x1b[31mempty")
        violation = error_details_pb2.BadRequest.FieldViolation(field="name", description="has\x1b no letters")
        for detail in (
            error_details_pb2.BadRequest(field_violations=[violation]),
            error_details_pb2.ErrorInfo(reason="NO_NAME", domain="greeter"),
        ):
            status.details.append(any_pb2.Any())
            status.details[-1].Pack(detail)
        await context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("aborted")

    async def SayHelloOften(self, request: HelloRequest, context: Any) -> AsyncIterator[HelloReply]:
        for number in range(request.times):
            yield HelloReply(text=f"{number} {request.name}")

    async def GreetTogether(self, requests: AsyncIterator[HelloRequest], context: Any) -> HelloReply:
        return HelloReply(text=" and ".join([request.name async for request in requests]))

    async def Chat(self, requests: AsyncIterator[HelloRequest], context: Any) -> AsyncIterator[HelloReply]:
        async for request in requests:
            yield HelloReply(text=f"{request.name}?")


@asynccontextmanager
async def greeter(*, reflection: Sequence[str] = (V1, V1ALPHA), tells_health: bool = True) -> AsyncIterator[str]:
    """A server on 127.0.0.1; gives its address."""
    server = aio.server()
    add_GreeterServicer_to_server(Greeter(), server)
    if tells_health:
        checks = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs leave it out
        await checks.set(GREETER, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    handler = grpc.stream_stream_rpc_method_handler(
        ReflectionServicer([GREETER]).ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in reflection:
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
