"""Unit tests of a caller, with a registry in memory. Start them with `python -m pytest unit_test.py`.

A real server and real calls, but no etcd: whoever is given the same MemoryRegistry find each other.
"""

import asyncio

import grpc
import pytest

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Discovery, MemoryRegistry, Settings

GREETER = "acme.greeter.v1.Greeter"
SETTINGS = Settings.from_environment("TEST_", {}, call_timeout=0.5)  # {}: whatever the environment holds


class Greeter(GreeterServicer):
    async def SayHello(self, request: HelloRequest, context: object) -> HelloReply:
        return HelloReply(text=f"Hello, {request.name}!")


async def greet(discovery: Discovery, name: str) -> str:
    """The code under test."""
    reply: HelloReply = await GreeterStub(discovery.channel(GREETER)).SayHello(HelloRequest(name=name))
    return reply.text


def test_a_greeting_comes_from_an_instance_that_was_found() -> None:
    async def scenario() -> None:
        server, registry = grpc.aio.server(), MemoryRegistry()
        add_GreeterServicer_to_server(Greeter(), server)
        registry.put(GREETER, "one", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        async with Discovery(SETTINGS, registry=registry) as discovery:
            assert await greet(discovery, "Ada") == "Hello, Ada!"
        await server.stop(None)

    asyncio.run(scenario())


def test_without_an_instance_the_call_fails_and_says_so() -> None:
    async def scenario() -> None:
        async with Discovery(SETTINGS, registry=MemoryRegistry()) as discovery:
            with pytest.raises(grpc.aio.AioRpcError, match="none is known") as failure:
                await greet(discovery, "Ada")
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(scenario())
