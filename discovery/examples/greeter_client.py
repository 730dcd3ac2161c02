"""Find the service and call it: `python greeter_client.py`."""

import asyncio

from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub
from grpc_discovery import Discovery


async def main() -> None:
    async with Discovery.from_environment("GREETER_") as discovery:
        greeter = GreeterStub(discovery.channel("acme.greeter.v1.Greeter"))
        print((await greeter.SayHello(HelloRequest(name="you"))).text)


asyncio.run(main())
