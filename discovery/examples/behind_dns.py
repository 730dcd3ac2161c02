"""A service that is found by DNS, as in compose or Kubernetes: nothing is advertised, and no etcd is needed.

    python behind_dns.py

The name is `localhost` here. In Kubernetes it is that of a headless service, `greeter.default.svc.cluster.local:8101`, and each pod behind
it is an instance. A name without a port is looked up as SRV, which brings the ports (pip install grpc-discovery[dns]).
"""

import asyncio
import socket

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, GreeterStub, add_GreeterServicer_to_server
from grpc_discovery import Application, Discovery, Settings

GREETER = "acme.greeter.v1.Greeter"


class Greeter(GreeterServicer):
    async def SayHello(self, request: HelloRequest, context: object) -> HelloReply:
        return HelloReply(text=f"Hello, {request.name}!")


async def main() -> None:
    port, stop = free_port(), asyncio.Event()
    # The same as GREETER_DISCOVERY=dns and GREETER_DNS_NAMES=acme.greeter.v1.Greeter=localhost:8101 in the environment.
    settings = Settings.from_environment(
        "GREETER_", listen_port=port, discovery="dns", dns_names=f"{GREETER}=localhost:{port}", withdraw_wait=0
    )
    app = Application("greeter", settings)
    app.add(Greeter(), add_GreeterServicer_to_server, GREETER)
    async with asyncio.TaskGroup() as life:
        life.create_task(app.serve(stop))
        async with Discovery(settings) as discovery:
            greeter = GreeterStub(discovery.channel(GREETER))
            print((await greeter.SayHello(HelloRequest(name="you"), wait_for_ready=True)).text)
            print(f"found by DNS: {', '.join((await discovery.listed(GREETER)).values())}")
        stop.set()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    asyncio.run(main())
