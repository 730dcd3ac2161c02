"""A greeter as a process of its own. Its database is there as long as the file in DATABASE is, where that is given; requests say what it does."""

import asyncio
import os
from typing import Any

from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from grpc_discovery import Application


class Database:
    """There as long as a file is."""

    name = "the database"

    async def ready(self) -> None:
        if not await self.alive():
            raise FileNotFoundError("no file")

    async def alive(self) -> bool:
        return os.access(os.environ.get("DATABASE", "/"), os.F_OK)


class Greeter(GreeterServicer):
    async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
        """`slow` takes 1.5 s; `end TASK` cancels the task whose name begins so; whatever else is greeted."""
        if request.name == "slow":
            await asyncio.sleep(1.5)
        if request.name.startswith("end "):
            for task in asyncio.all_tasks():
                if task.get_name().startswith(request.name.removeprefix("end ")):
                    task.cancel()
        return HelloReply(text=f"Hello, {request.name}!", instance=str(os.getpid()))


app = Application("greeter")
app.add(Greeter(), add_GreeterServicer_to_server, "acme.greeter.v1.Greeter", waits_for=[Database()])
app.run()
