"""The registries that advertise nothing: DNS names, asked of a small name server of our own, and a fixed list."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast

import dns.message
import dns.rcode
import dns.rrset
import pytest

from discovery.tests.waiting import eventually
from grpc_discovery.environment import SettingsError
from grpc_discovery.registry.factory import open_registry
from grpc_discovery.registry.interface import RegistryUnavailable
from grpc_discovery.settings import RegistrySettings, Settings
from infra.ports import free_port


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


def registry_settings(**values: object) -> RegistrySettings:
    return Settings.from_environment("TEST_", {}, **values).registry


def by_name(server: NameServer, names: str) -> RegistrySettings:
    return registry_settings(discovery="dns", dns_names=names, dns_server=f"127.0.0.1:{server.port}", dns_interval=0.2)


async def test_each_address_of_a_name_with_a_port_is_an_instance_and_changes_are_seen(names: NameServer) -> None:
    names.records["greeters", "A"] = ["10.0.0.1", "10.0.0.2"]
    registry = await open_registry(by_name(names, "Greeter=greeters:8101"))
    assert sorted((await registry.list("Greeter")).values()) == ["10.0.0.1:8101", "10.0.0.2:8101"]
    seen: list[dict[str, str]] = []

    async def follow() -> None:
        async with aclosing(registry.watch("Greeter")) as lists:
            async for instances in lists:
                seen.append(instances)

    following = asyncio.create_task(follow())
    names.records["greeters", "A"] = ["10.0.0.3"]
    await eventually(lambda: bool(seen) and list(seen[-1].values()) == ["10.0.0.3:8101"], 5, "the new address")
    following.cancel()
    await registry.close()


async def test_a_name_with_ipv6_addresses_only_has_instances_there(names: NameServer) -> None:
    names.records["greeters", "AAAA"] = ["2001:db8::1", "2001:db8::2"]
    names.records["both", "AAAA"] = ["2001:db8::3"]
    names.records["both", "A"] = ["10.0.0.3"]
    registry = await open_registry(by_name(names, "Greeter=greeters:8101;Clock=both:8201"))
    assert sorted(await registry.list("Greeter")) == ["[2001:db8::1]:8101", "[2001:db8::2]:8101"]
    assert list(await registry.list("Clock")) == ["10.0.0.3:8201"]
    await registry.close()
    registry = await open_registry(registry_settings(discovery="dns", dns_names="Greeter=[::1]:8101"))
    assert await registry.list("Greeter") == {"[::1]:8101": "[::1]:8101"}
    await registry.close()


async def test_a_name_without_a_port_is_looked_up_as_srv_and_the_best_priority_counts(names: NameServer) -> None:
    names.records["_grpc._tcp.clocks", "SRV"] = [
        "1 0 8201 one.clocks.",
        "1 0 8202 two.clocks.",
        "5 0 8203 spare.clocks.",
    ]
    names.records["one.clocks", "A"] = ["10.0.0.1"]
    names.records["two.clocks", "A"] = ["10.0.0.2"]
    registry = await open_registry(by_name(names, "Clock=_grpc._tcp.clocks"))
    assert sorted((await registry.list("Clock")).values()) == ["10.0.0.1:8201", "10.0.0.2:8202"]
    await registry.close()


async def test_a_name_that_does_not_exist_has_no_instances_and_a_server_that_fails_is_away(names: NameServer) -> None:
    registry = await open_registry(by_name(names, "Greeter=greeters:8101"))
    assert await registry.list("Greeter") == {}
    names.broken = True
    with pytest.raises(RegistryUnavailable):
        await registry.list("Greeter")
    await registry.close()


async def test_without_a_name_server_in_the_settings_the_machine_is_asked() -> None:
    registry = await open_registry(registry_settings(discovery="dns", dns_names="Greeter=localhost:8101"))
    assert await registry.list("Greeter") == {"127.0.0.1:8101": "127.0.0.1:8101"}
    assert await registry.list("unheard-of") == {}
    await registry.close()


async def test_a_fixed_list_is_what_it_says() -> None:
    listed = "Greeter=127.0.0.1:9001,127.0.0.1:9002"
    registry = await open_registry(registry_settings(discovery="static", static_services=listed))
    assert list((await registry.list("Greeter")).values()) == ["127.0.0.1:9001", "127.0.0.1:9002"]
    assert await registry.names() == ["Greeter"]
    assert await registry.list("unheard-of") == {}
    assert await registry.renew("Greeter", "a", "h:1", 10)
    await registry.close()


@pytest.mark.parametrize("text", ["Greeter", "=127.0.0.1:1", "Greeter=", "Greeter=h:port"])
def test_a_list_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="TEST_STATIC_SERVICES"):
        registry_settings(static_services=text)
