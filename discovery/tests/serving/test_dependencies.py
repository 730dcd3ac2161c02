"""What services wait for and follow: each is asked once for all of them, and nothing that it does ends the one who asks."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from discovery.tests.waiting import eventually
from greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server
from grpc_discovery import Application, MemoryRegistry, Settings
from infra.ports import free_port

ONE, OTHER = "acme.one.v1.Greeter", "acme.other.v1.Greeter"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Database:
    """A dependency that does as it is told: `alive` and `ready` hold what each says, raises, or "hangs"."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: bool | BaseException | str = True
        self.faults: list[BaseException] = []
        self.asked_ready = self.asked_alive = 0

    async def ready(self) -> None:
        """Raises what it should, one after the other, before it is ready."""
        self.asked_ready += 1
        if self.faults:
            raise self.faults.pop(0)

    async def alive(self) -> bool:
        """As the test says."""
        self.asked_alive += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer == "hangs":
            await asyncio.Event().wait()
        return bool(self.answer)


class Served:
    """An application of two services: both need `shared`, one of them `own`, too."""

    def __init__(self) -> None:
        self.shared, self.own, self.registry = Database("shared"), Database("own"), MemoryRegistry()
        self.port = free_port()
        settings = Settings.from_environment("TEST_", {}, listen_port=self.port, withdraw_wait=0)
        self.application = Application("greeter", settings, registry=self.registry)
        # One servicer under two names is two services.
        self.application.add(GreeterServicer(), _add_as(ONE), ONE, waits_for=[self.shared, self.own])
        self.application.add(GreeterServicer(), _add_as(OTHER), OTHER, waits_for=[self.shared])

    async def statuses(self) -> list[int]:
        """The health of both services and of the whole."""
        async with aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            asked = [health_pb2.HealthCheckRequest(service=name) for name in (ONE, OTHER, "")]
            return [(await stub.Check(each, timeout=2)).status for each in asked]

    async def become(self, statuses: list[int]) -> None:
        """Return when the health, and the entries with it, are these."""

        async def are() -> bool:
            advertised = [SERVING if name in self.registry.entries else NOT_SERVING for name in (ONE, OTHER)]
            return await self.statuses() == statuses and advertised == statuses[:2]

        await eventually(are, 10, f"health and entries are {statuses}")


def _add_as(name: str) -> Any:
    """The generated function, for a service of another name."""

    class Renaming:
        def __init__(self, server: Any) -> None:
            self._server = server

        def add_generic_rpc_handlers(self, handlers: Any) -> None:
            [handler] = handlers
            handler._name = name
            self._server.add_generic_rpc_handlers(handlers)

        def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
            self._server.add_registered_method_handlers(name, handlers)

    def add(servicer: GreeterServicer, server: Any) -> None:
        renaming: Any = Renaming(server)
        add_GreeterServicer_to_server(servicer, renaming)

    return add


@asynccontextmanager
async def serving(served: Served) -> AsyncIterator[None]:
    stop = asyncio.Event()
    life = asyncio.create_task(served.application.serve(stop))
    try:
        await eventually(lambda: served.registry.entries.keys() == {ONE, OTHER}, 10, "both are advertised")
        yield
    finally:
        stop.set()
        await life


async def test_each_service_follows_what_it_needs_and_shared_needs_are_asked_once() -> None:
    served = Served()
    async with serving(served):
        assert (served.shared.asked_ready, served.own.asked_ready) == (1, 1)
        await eventually(lambda: served.shared.asked_alive >= 4, 10, "they are followed")
        assert abs(served.shared.asked_alive - served.own.asked_alive) <= 1, "asked as often, though two need it"
        served.own.answer = False
        await served.become([NOT_SERVING, SERVING, NOT_SERVING])
        served.shared.answer = False
        await served.become([NOT_SERVING, NOT_SERVING, NOT_SERVING])
        served.own.answer = True
        served.shared.answer = True
        await served.become([SERVING, SERVING, SERVING])


@pytest.mark.parametrize(
    "answer",
    [RuntimeError("unforeseen"), asyncio.CancelledError("by a library"), "hangs"],
    ids=["raises", "is cancelled", "hangs"],
)
async def test_the_follower_outlives_whatever_comes_instead_of_an_answer(answer: Any) -> None:
    served = Served()
    async with serving(served):
        served.own.answer = answer
        await served.become([NOT_SERVING, SERVING, NOT_SERVING])
        served.own.answer = True
        await served.become([SERVING, SERVING, SERVING])


async def test_what_fails_at_the_start_is_tried_again_and_each_reason_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    served = Served()
    served.own.faults = [OSError("no route"), OSError("no route"), asyncio.CancelledError(), ValueError("no schema")]
    with caplog.at_level(logging.WARNING):
        async with serving(served):
            pass
    told = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert told == [
        "waiting for own: OSError: no route",
        "waiting for own: it was cancelled",
        "waiting for own: ValueError: no schema",
    ]


async def test_a_servicer_is_made_when_all_is_ready_and_the_registry_is_open() -> None:
    database, made, registry = Database("database"), [], MemoryRegistry()
    settings = Settings.from_environment("TEST_", {}, listen_port=free_port(), withdraw_wait=0)
    application = Application("greeter", settings, registry=registry)

    async def make() -> GreeterServicer:
        made.append((database.asked_ready, application.registry is registry))
        return GreeterServicer()

    application.add(make, add_GreeterServicer_to_server, "acme.greeter.v1.Greeter", waits_for=[database])
    stop = asyncio.Event()
    life = asyncio.create_task(application.serve(stop))
    await eventually(lambda: bool(registry.entries), 10, "it is advertised")
    stop.set()
    await life
    assert made == [(1, True)]


def test_a_service_is_added_once_and_under_its_own_name() -> None:
    application = Application("greeter", Settings())
    with pytest.raises(
        ValueError, match=r"acme\.Greeter is not what is added here: that is acme\.greeter\.v1\.Greeter"
    ):
        application.add(GreeterServicer(), add_GreeterServicer_to_server, "acme.Greeter")
    application.add(GreeterServicer(), add_GreeterServicer_to_server, "acme.greeter.v1.Greeter")
    with pytest.raises(ValueError, match="was added before"):
        application.add(GreeterServicer(), add_GreeterServicer_to_server, "acme.greeter.v1.Greeter")
    with pytest.raises(RuntimeError, match="open only while"):
        _ = application.registry
