"""Programs without asyncio: the same calls, on a channel that waits."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from discovery.tests.balancing.callers import HELLO
from discovery.tests.balancing.servers import GREETER, Instance
from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub
from grpc_discovery.discovery import BlockingDiscovery
from grpc_discovery.loop_thread import LoopThread
from grpc_discovery.settings import Settings


@pytest.fixture
def instance() -> Iterator[Instance]:
    """An instance in a thread of its own."""
    thread = LoopThread("the instance")

    async def start() -> Instance:
        served = Instance()
        await served.start()
        return served

    served = thread.run(start)
    yield served
    thread.run(served.stop)
    thread.close()


def settings(address: str) -> Settings:
    return Settings.from_environment("TEST_", {}, discovery="static", static_services=f"{GREETER}={address}")


@pytest.fixture(params=["plain", "balanced"])
def stub(request: pytest.FixtureRequest, instance: Instance) -> Iterator[Any]:
    """A stub on a channel of gRPC's own, and on ours: one suite for both."""
    if request.param == "plain":
        with grpc.insecure_channel(instance.address) as channel:
            yield GreeterStub(channel)
    else:
        with BlockingDiscovery(settings(instance.address)) as discovery:
            yield GreeterStub(discovery.channel(GREETER))


def test_one_request_has_one_response(stub: Any, instance: Instance) -> None:
    assert stub.SayHello(HELLO, timeout=5).text == "Hello, you"
    reply, call = stub.SayHello.with_call(HELLO, timeout=5)
    assert reply.text == "Hello, you"
    assert call.code() is grpc.StatusCode.OK
    assert dict(call.trailing_metadata())["served-by"] == instance.address
    assert dict(call.initial_metadata())["begun-by"] == instance.address


def test_a_response_can_be_waited_for_later(stub: Any) -> None:
    future = stub.SayHello.future(HELLO, timeout=5)
    told = threading.Event()
    future.add_done_callback(lambda _: told.set())
    assert future.result(timeout=5).text == "Hello, you"
    assert future.exception() is None
    assert told.wait(5)
    assert future.done()


def test_waiting_can_be_bounded_and_the_call_cancelled(stub: Any, instance: Instance) -> None:
    instance.takes = 5
    future = stub.SayHello.future(HELLO, timeout=10)
    with pytest.raises(grpc.FutureTimeoutError):
        future.result(timeout=0.2)
    assert future.cancel()
    with pytest.raises(grpc.FutureCancelledError):
        future.result(timeout=5)
    assert future.cancelled()


def test_a_failed_call_raises(stub: Any, instance: Instance) -> None:
    instance.status = grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as refusal:
        stub.SayHello(HELLO, timeout=5)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert stub.SayHello.future(HELLO, timeout=5).exception().code() is grpc.StatusCode.NOT_FOUND


def test_streams_go_both_ways(stub: Any) -> None:
    replies = stub.SayHelloOften(HelloRequest(name="you", times=3), timeout=5)
    assert len(list(replies)) == 3
    assert replies.code() is grpc.StatusCode.OK
    assert stub.GreetTogether(iter([HELLO, HELLO]), timeout=5).text == "Hello, you and you"
    assert [reply.text for reply in stub.Chat(iter([HELLO]), timeout=5)] == ["Hello, you"]


def test_requests_that_wait_for_responses_do_not_hold_each_other_up(stub: Any) -> None:
    answered = threading.Semaphore(1)

    def requests() -> Iterator[HelloRequest]:
        for _ in range(3):
            assert answered.acquire(timeout=5)
            yield HELLO

    for reply in stub.Chat(requests(), timeout=10):
        assert reply.text == "Hello, you"
        answered.release()


def test_a_start_that_fails_leaves_no_thread(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> None:
    discovery = BlockingDiscovery(settings(instance.address))

    async def fail() -> None:
        raise OSError("as the test wants it")

    monkeypatch.setattr(discovery._discovery, "__aenter__", fail)
    before = threading.active_count()
    with pytest.raises(OSError, match="as the test"), discovery:
        pass
    assert threading.active_count() == before


@pytest.mark.processes
def test_after_a_fork_a_call_fails_at_once(instance: Instance) -> None:
    program = textwrap.dedent(f"""
        import os, sys, time
        from greeter_pb2 import HelloRequest
        from greeter_pb2_grpc import GreeterStub
        from grpc_discovery.discovery import BlockingDiscovery
        from grpc_discovery.settings import Settings

        settings = Settings.from_environment("TEST_", {{}}, discovery="static", static_services="{GREETER}={instance.address}")
        with BlockingDiscovery(settings) as discovery:
            stub = GreeterStub(discovery.channel("{GREETER}"))
            print(stub.SayHello(HelloRequest(name="parent"), timeout=5).text, flush=True)
            if os.fork() == 0:
                try:
                    stub.SayHello(HelloRequest(name="child"), timeout=5)
                except RuntimeError as error:
                    print(error, flush=True)
                os._exit(0)
            os.wait()
    """)
    examples = Path(__file__).parents[2] / "examples"
    done = subprocess.run(
        [sys.executable, "-c", program],
        # The handlers that gRPC itself runs at a fork crash a child now and then.
        env={**os.environ, "PYTHONPATH": str(examples), "GRPC_ENABLE_FORK_SUPPORT": "0"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "Hello, parent" in done.stdout
    assert "gRPC does not work after a fork" in done.stdout, done.stderr
