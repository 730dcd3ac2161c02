"""A server with threads, as most Python gRPC servers are, that can be found all the same.

    python synchronous_server.py
    python greeter_client.py

Only the `with BlockingRegistration(...)` is new to it. A web site is advertised in the same way. etcd is looked for at 127.0.0.1:2379;
GREETER_ETCD names another address.
"""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from grpc_discovery import BlockingRegistration, Settings


class Greeter(GreeterServicer):
    def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
        return HelloReply(text=f"Hello, {request.name}, from a thread!")


def main() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    settings = Settings.load("GREETER_")
    address = f"{settings.listen.host}:{settings.listen.port or 8102}"
    # Without so_reuseport=0 a second process would share the port, and nobody would notice.
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
    add_GreeterServicer_to_server(Greeter(), server)
    server.add_insecure_port(address)
    server.start()
    with BlockingRegistration("acme.greeter.v1.Greeter", address, settings):
        print(f"serving on {address}", flush=True)
        stop.wait()
    server.stop(grace=5).wait()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
