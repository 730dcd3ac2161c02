"""A service that can be found. Start it with `python greeter_server.py`."""

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from grpc_discovery import Application


class Greeter(GreeterServicer):
    async def SayHello(self, request: HelloRequest, context: object) -> HelloReply:
        return HelloReply(text=f"Hello, {request.name}!")


app = Application("greeter", default_port=8101)
app.add(Greeter(), add_GreeterServicer_to_server, "acme.greeter.v1.Greeter")
app.run()
