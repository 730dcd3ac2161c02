"""Two instances of a service, one of which is killed under load, and no call fails.

    python two_instances.py

It starts the two as processes of their own, makes a hundred calls a second, kills one of them with SIGKILL after a second, and counts who
answered. etcd is looked for at 127.0.0.1:2379; GREETER_ETCD names another address.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter

import grpc

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Application, Discovery

GREETER = "acme.greeter.v1.Greeter"


class Greeter(GreeterServicer):
    async def SayHello(self, request: HelloRequest, context: object) -> HelloReply:
        return HelloReply(text=f"Hello, {request.name}!", instance=f"127.0.0.1:{os.environ['GREETER_LISTEN_PORT']}")


def serve() -> None:
    """What each of the two processes does."""
    app = Application("greeter")
    app.add(Greeter(), add_GreeterServicer_to_server, GREETER)
    app.run()


def start(port: int) -> "subprocess.Popen[bytes]":
    """Start an instance as a process."""
    # The entry of a killed instance lives on for its TTL. Here it is two seconds.
    environment = {**os.environ, "GREETER_LISTEN_PORT": str(port), "GREETER_TTL": "2"}
    return subprocess.Popen([sys.executable, __file__, "serve"], env=environment)


async def call_both() -> None:
    ports = [free_port(), free_port()]
    instances = [start(port) for port in ports]
    answers: Counter[str] = Counter()
    failures: Counter[grpc.StatusCode] = Counter()
    try:
        async with Discovery.from_environment("GREETER_") as discovery:
            greeter = GreeterStub(discovery.channel(GREETER))

            async def call() -> None:
                try:
                    answers[(await greeter.SayHello(HelloRequest(name="you"))).instance] += 1
                except grpc.aio.AioRpcError as error:
                    failures[error.code()] += 1

            while len(answers) < len(instances):  # until both are found
                if any(instance.poll() is not None for instance in instances):
                    sys.exit("an instance has ended by itself")
                await call()
            answers.clear()
            failures.clear()
            print(f"calling {' and '.join(f'127.0.0.1:{port}' for port in ports)}")
            async with asyncio.TaskGroup() as calls:
                for number in range(300):
                    if number == 100:
                        instances[0].kill()
                        print(f"killed 127.0.0.1:{ports[0]}")
                    calls.create_task(call())
                    await asyncio.sleep(0.01)
            while ports[0] in {int(each.rpartition(":")[2]) for each in discovery.instances(GREETER).values()}:
                await asyncio.sleep(0.05)
            print("its entry has expired")
    finally:
        for instance in instances:
            instance.terminate()
            instance.wait()
    for instance_name, count in sorted(answers.items()):
        print(f"{instance_name} answered {count} calls")
    print(f"{failures.total()} calls failed")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        asyncio.run(call_both())
