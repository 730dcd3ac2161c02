"""A script without asyncio that finds a service and calls it.

    python greeter_server.py &
    python script.py Ada Grace

BlockingDiscovery has a thread of its own in which the calls are made; its channel is a grpc.Channel for generated stubs. etcd is looked for
at 127.0.0.1:2379; GREETER_ETCD names another address.
"""

import sys

import grpc

from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub
from grpc_discovery import BlockingDiscovery

with BlockingDiscovery.from_environment("GREETER_") as discovery:
    greeter = GreeterStub(discovery.channel("acme.greeter.v1.Greeter"))
    for name in sys.argv[1:] or ["you"]:
        try:
            print(greeter.SayHello(HelloRequest(name=name), timeout=5).text)
        except grpc.RpcError as error:
            # Its details say which instances are known, and how they are.
            sys.exit(f"{error.code().name}: {error.details()}")
