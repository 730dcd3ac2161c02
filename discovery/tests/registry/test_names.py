"""The registries that advertise nothing: DNS names, asked of a small name server of our own, and a fixed list."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast

import dns.message
import dns.rcode
import dns.rrset
import pytest
from common.registry import RegistryUnavailable, open_registry

from common.settings import Settings
from infra.ports import free_port
from tests.common.etcds import eventually


class NameServer(asyncio.DatagramProtocol):
    """Answers from a dict of (name, type) -> values; a name it does not know does not exist."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.broken = False
        self.port = free_port()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        asked = question.question[0]
        kind = asked.rdtype.name
        values = self.records.get((asked.name.to_text(omit_final_dot=True), kind))
        if self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif values is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(dns.rrset.from_text(asked.name, 1, "IN", kind, *values))
        if self._transport:
            self._transport.sendto(answer.to_wire(), address)

    def close(self) -> None:
        if self._transport:
            self._transport.close()


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    server = NameServer()
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", server.port))
    yield server
    server.close()


def by_name(server: NameServer, names: str) -> Settings:
    values = {"discovery": "dns", "dns_names": names, "dns_server": f"127.0.0.1:{server.port}", "dns_interval": 0.2}
    return Settings(**values)  # type: ignore[arg-type]  # pydantic checks them


async def test_each_address_of_a_name_with_a_port_is_an_instance_and_changes_are_seen(names: NameServer) -> None:
    names.records["comments", "A"] = ["10.0.0.1", "10.0.0.2"]
    registry = await open_registry(by_name(names, "CommentsService=comments:8101"))
    assert sorted((await registry.list("CommentsService")).values()) == ["10.0.0.1:8101", "10.0.0.2:8101"]
    seen: list[dict[str, str]] = []

    async def follow() -> None:
        async with aclosing(registry.watch("CommentsService")) as lists:  # type: ignore[type-var]
            async for instances in lists:
                seen.append(instances)

    following = asyncio.create_task(follow())
    names.records["comments", "A"] = ["10.0.0.3"]
    await eventually(lambda: bool(seen) and list(seen[-1].values()) == ["10.0.0.3:8101"], 5, "the new address")
    following.cancel()
    await registry.close()


async def test_a_name_without_a_port_is_looked_up_as_srv_and_the_best_priority_counts(names: NameServer) -> None:
    names.records["_grpc._tcp.ratings", "SRV"] = [
        "1 0 8201 one.ratings.",
        "1 0 8202 two.ratings.",
        "5 0 8203 spare.ratings.",
    ]
    names.records["one.ratings", "A"] = ["10.0.0.1"]
    names.records["two.ratings", "A"] = ["10.0.0.2"]
    registry = await open_registry(by_name(names, "RatingsService=_grpc._tcp.ratings"))
    assert sorted((await registry.list("RatingsService")).values()) == ["10.0.0.1:8201", "10.0.0.2:8202"]
    await registry.close()


async def test_a_name_that_does_not_exist_has_no_instances_and_a_server_that_fails_is_away(names: NameServer) -> None:
    registry = await open_registry(by_name(names, "CommentsService=comments:8101"))
    assert await registry.list("CommentsService") == {}
    names.broken = True
    with pytest.raises(RegistryUnavailable):
        await registry.list("CommentsService")
    await registry.close()


async def test_without_a_name_server_in_the_settings_the_machine_is_asked() -> None:
    values = {"discovery": "dns", "dns_names": "CommentsService=localhost:8101"}
    registry = await open_registry(Settings(**values))  # type: ignore[arg-type]  # pydantic checks them
    assert await registry.list("CommentsService") == {"127.0.0.1:8101": "127.0.0.1:8101"}
    assert await registry.list("unheard-of") == {}
    await registry.close()


async def test_a_fixed_list_is_what_it_says_and_others_are_at_their_own_port() -> None:
    values = {"discovery": "static", "static_services": "CommentsService=127.0.0.1:9001,127.0.0.1:9002"}
    registry = await open_registry(Settings(**values))  # type: ignore[arg-type]  # pydantic checks them
    assert list((await registry.list("CommentsService")).values()) == ["127.0.0.1:9001", "127.0.0.1:9002"]
    assert list((await registry.list("RatingsService")).values()) == ["127.0.0.1:8201"]
    assert await registry.list("unheard-of") == {}
    assert await registry.renew("CommentsService", "a", "h:1", 10)
    await registry.close()


@pytest.mark.parametrize("text", ["CommentsService", "=127.0.0.1:1", "CommentsService=", "CommentsService=h:port"])
def test_a_list_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError):
        Settings(static_services=text)  # type: ignore[call-arg]  # all others have a default
