"""An asyncio server of one's own, without Application, that can be found.

    python aio_server.py
    python greeter_client.py

Only the `async with registration(...)` is new to it. etcd is looked for at 127.0.0.1:2379; GREETER_ETCD names another address.
"""

import asyncio
import signal

import grpc

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from grpc_discovery import Settings, registration


class Greeter(GreeterServicer):
    async def SayHello(self, request: HelloRequest, context: object) -> HelloReply:
        return HelloReply(text=f"Hello, {request.name}, from a server of our own!")


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    settings = Settings.load("GREETER_")
    address = f"{settings.listen.host}:{settings.listen.port or 8103}"
    # Without so_reuseport=0 a second process would share the port, and nobody would notice.
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_GreeterServicer_to_server(Greeter(), server)
    server.add_insecure_port(address)
    await server.start()
    async with registration("acme.greeter.v1.Greeter", address, settings):
        print(f"serving on {address}", flush=True)
        await stop.wait()
    await server.stop(grace=5)
    print("stopped", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
