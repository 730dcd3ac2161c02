"""A greeter in this process whose calls are measured and traced, and what its metrics say."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import REGISTRY

from discovery.tests.balancing.servers import GREETER
from discovery.tests.waiting import eventually
from greeter_pb2 import HelloReply, HelloRequest
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from grpc_discovery import Application, Discovery, MemoryRegistry, NotFound, Settings, tallies
from grpc_discovery.serving.handlers import Interceptor
from grpc_discovery.telemetry.spans import recorded
from infra.ports import free_port

METRICS_OFFSET = 1000


class Greeter(GreeterServicer):
    """Does what the name in a request says."""

    async def SayHello(self, request: HelloRequest, context: Any) -> HelloReply:
        match request.name:
            case "nobody":
                raise NotFound("there is nobody of that name")
            case "broken":
                raise ZeroDivisionError
            case "slow":
                await asyncio.sleep(30)
            case "busy" if span := recorded():
                for number in range(request.times):
                    step = {"db.query.text": statement(number), "db.response.returned_rows": number}
                    span.child("SELECT things", "CLIENT", step).end("Lost" if number == 1 else "")
        return HelloReply(text="Hello")

    async def SayHelloOften(self, request: HelloRequest, context: Any) -> AsyncIterator[HelloReply]:
        for _ in range(request.times):
            await asyncio.sleep(0.01)
            yield HelloReply()


def statement(number: int) -> str:
    """What the greeter pretends to ask a database."""
    return f"TRUNCATE {'a' * 60}{number}"


class Running:
    """The greeter, as it serves."""

    def __init__(self, registry: MemoryRegistry, settings: Settings, port: int) -> None:
        self.registry, self.settings = registry, settings
        self.address, self.metrics = f"127.0.0.1:{port}", f"http://127.0.0.1:{port + METRICS_OFFSET}"

    @property
    def under_way(self) -> int:
        """Calls that the servers of this process work on."""
        return sum(each.under_way for each in tallies.LIVING if isinstance(each, Interceptor))

    async def fetch(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and text of an answer over HTTP."""
        return await asyncio.to_thread(_fetch, self.metrics + path, method)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[Any]:
        """A channel that finds it in the registry."""
        async with Discovery(self.settings, registry=self.registry) as discovery:
            yield discovery.channel(GREETER)


@asynccontextmanager
async def running(**values: Any) -> AsyncIterator[Running]:
    """A greeter with these settings, while the block lasts."""
    port, registry, stop = free_port(), MemoryRegistry(), asyncio.Event()
    settings = Settings.from_environment("TEST_", {}, listen_port=port, withdraw_wait=0, **values)
    application = Application("greeter", settings, registry=registry)
    application.add(Greeter(), add_GreeterServicer_to_server, GREETER)
    serving = asyncio.create_task(application.serve(stop))
    try:
        await eventually(lambda: serving.done() or bool(registry.entries.get(GREETER)), 10, "it is advertised")
        if serving.done():
            serving.result()
        yield Running(registry, settings, port)
    finally:
        stop.set()
        await asyncio.wait([serving])


def counted(side: str, method: str, status: str) -> float:
    """How many calls of a method have ended so."""
    labels = {"rpc_system_name": "grpc", "rpc_method": f"{GREETER}/{method}", "rpc_response_status_code": status}
    return REGISTRY.get_sample_value(f"rpc_{side}_call_duration_seconds_count", labels) or 0.0


def told_of(metadata: Any, key: str = "grpc-discovery-trace") -> dict[str, Any]:
    """What a server tells in its trailing metadata; {} for nothing."""
    told: dict[str, Any] = json.loads(dict(metadata).get(key, "{}"))
    return told


def _fetch(url: str, method: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
