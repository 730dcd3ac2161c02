"""Opening the registry of the settings: what is said while it is waited for."""

import asyncio
import logging

import grpc
import pytest

from discovery.tests.waiting import eventually
from grpc_discovery import Discovery, Settings, open_registry


class Answering:
    """A server that gives every request the same answer, and counts them."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        status, _, body = self.answer.partition(": ")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()


async def test_what_is_waited_for_is_told_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    program = Answering("200 OK: a web site")
    async with await asyncio.start_server(program.serve, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        opening = asyncio.create_task(open_registry(Settings.from_environment("TEST_", {}, etcd=address).registry))

        async def tells_once(reason: str) -> None:
            line = f"waiting for etcd at {address}: {reason}"
            await eventually(lambda: line in caplog.text, 5, "it is told")
            before = program.requests
            await eventually(lambda: program.requests >= before + 2, 5, "it is asked on")
            assert caplog.text.count(line) == 1

        await tells_once("it answers, but not as etcd does")
        program.answer = "503 Busy: "
        await tells_once("Busy")
        assert caplog.text.count("waiting for etcd") == 2
        program.answer = '200 OK: {"etcdserver": "3.5.0"}'
        async with asyncio.timeout(5):
            await (await opening).close()
        assert "etcd offers its v2 keys" in caplog.text


async def test_a_caller_is_told_which_etcd_has_not_answered_yet() -> None:
    settings = Settings.from_environment("TEST_", {}, etcd="127.0.0.1:1")
    async with Discovery(settings) as discovery:
        channel = discovery.channel("acme.greeter.v1.Greeter")
        with pytest.raises(grpc.aio.AioRpcError, match=r"etcd at 127\.0\.0\.1:1 has not answered yet"):
            await channel.unary_unary("/acme.greeter.v1.Greeter/Greet")(b"", timeout=0.5)


@pytest.mark.parametrize(
    ("address", "user", "is_told"),
    [("192.0.2.1:2379", "me", True), ("127.0.0.1:2379,[::1]:2379", "me", False), ("192.0.2.1:2379", "", False)],
    ids=["over the network", "on this machine", "without a user"],
)
async def test_a_password_that_leaves_the_machine_without_tls_is_told(
    caplog: pytest.LogCaptureFixture, address: str, user: str, is_told: bool
) -> None:
    given = {"etcd": address, "etcd_username": user, "etcd_password": "very-secret", "discovery": "etcd-v3"}
    registry = await open_registry(Settings.from_environment("TEST_", {}, **given).registry)
    await registry.close()
    assert ("the password for etcd goes over the network without TLS" in caplog.text) is is_told
    assert "very-secret" not in caplog.text
