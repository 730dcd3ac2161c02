"""etcd that asks for a user: what is asked of it, how often, and what is said when it refuses."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discovery.tests.etcds import KINDS, PASSWORD, ROOT, V2, Kind, etcdctl
from discovery.tests.registry.watching import watching
from discovery.tests.waiting import eventually
from grpc_discovery.registry import RegistryUnavailable
from grpc_discovery.registry.etcd_v3_client import Session, Tokens, tokens_of
from grpc_discovery.settings import Settings
from infra.etcd import Etcd

SERVICE = "acme.greeter.v1.Greeter"
TTL = 10.0
USER = {"etcd_username": "root", "etcd_password": PASSWORD}
ODD_PASSWORD = "pässwört-✓"
V3 = KINDS[1]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind.discovery}-on-{kind.version}", scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def guarded(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """An etcd that asks for the user root."""
    with kind.etcd(tmp_path_factory.mktemp("guarded")) as started:
        kind.ask_for_user(started.address)
        yield started


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users for which a token was asked for, each time."""
    users: list[str] = []
    ask = Session.ask

    async def counted(self: Session, name: str, request: Any, answer: Any) -> Any:
        if name == "Auth/Authenticate":
            users.append(request.name)
        return await ask(self, name, request, answer)

    monkeypatch.setattr(Session, "ask", counted)
    return users


@pytest.mark.processes
async def test_user_and_password_are_asked_for_and_used(kind: Kind, guarded: Etcd) -> None:
    registry = await kind.registry(guarded.address, **USER)
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    assert await registry.renew(SERVICE, "a", "h:1", TTL)
    assert await registry.names() == [SERVICE]
    async with watching(registry, SERVICE) as seen, watching(registry, "other") as other:
        await eventually(lambda: seen.now({"a": "h:1"}) and other.now({}), 10, "the lists")
        await registry.withdraw(SERVICE, "a", "h:1")
        await eventually(lambda: seen.now({}), 10, "the withdrawal")
    await registry.close()


@pytest.mark.processes
async def test_without_a_user_it_is_said_that_one_is_asked_for(kind: Kind, guarded: Etcd) -> None:
    stranger = await kind.registry(guarded.address)
    with pytest.raises(RegistryUnavailable, match="asks for a user, and none is set"):
        await stranger.advertise(SERVICE, "a", "h:1", TTL)
    await stranger.close()


@pytest.mark.processes
async def test_a_wrong_password_is_called_one(kind: Kind, guarded: Etcd) -> None:
    wrong = await kind.registry(guarded.address, etcd_username="root", etcd_password="wrong")
    with pytest.raises(RegistryUnavailable, match=r"'root'.* password"):
        await wrong.advertise(SERVICE, "a", "h:1", TTL)
    await wrong.close()


@pytest.mark.processes
async def test_a_password_need_not_be_ascii_and_is_not_logged(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with kind.etcd(tmp_path) as etcd:
        await asyncio.to_thread(kind.ask_for_user, etcd.address, ODD_PASSWORD)
        registry = await kind.registry(etcd.address, etcd_username="root", etcd_password=ODD_PASSWORD)
        await registry.advertise(SERVICE, "a", "h:1", TTL)
        assert await registry.list(SERVICE) == {"a": "h:1"}
        await registry.close()
    assert not any(part in caplog.text for part in ("ä", "ö", "✓", "pässw"))


def test_a_password_that_is_no_text_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError) as refused:
        Tokens("root", "secret\udcff")
    assert str(refused.value) == "etcd's user or password is not text in UTF-8"
    assert refused.value.__cause__ is None


@pytest.mark.processes
async def test_a_user_that_etcd_does_not_ask_for_does_no_harm(kind: Kind, tmp_path: Path) -> None:
    with kind.etcd(tmp_path) as etcd:
        registry = await kind.registry(etcd.address, **USER)
        await registry.advertise(SERVICE, "a", "h:1", TTL)
        assert await registry.renew(SERVICE, "a", "h:1", TTL)
        assert await registry.list(SERVICE) == {"a": "h:1"}
        await registry.close()


@pytest.mark.processes
async def test_a_token_is_asked_for_once_by_all_who_wait_and_once_more_after_a_restart(
    tmp_path: Path, asked: list[str]
) -> None:
    with V3.etcd(tmp_path) as etcd:
        await asyncio.to_thread(V3.ask_for_user, etcd.address)
        registries = [await V3.registry(etcd.address, **USER) for _ in range(3)]
        calls = [each.list(f"service-{number}") for each in registries for number in range(10)]
        assert await asyncio.gather(*calls) == [{}] * 30
        assert asked == ["root"]
        # A restart forgets all tokens.
        await asyncio.to_thread(etcd.restart)
        await asyncio.to_thread(etcd.wait_ready)
        await eventually(lambda: reached(registries[0].list(SERVICE)), 5, "the connection is there again")
        calls = [each.list(f"service-{number}") for each in registries for number in range(10)]
        assert await asyncio.gather(*calls) == [{}] * 30
        assert asked == ["root", "root"]
        for each in registries:
            await each.close()


async def reached(call: object) -> bool:
    try:
        await call  # type: ignore[misc]  # it is a coroutine
    except RegistryUnavailable:
        return False
    return True


@pytest.mark.processes
async def test_one_who_stops_waiting_does_not_take_the_token_from_the_others(
    guarded_v3: Etcd, asked: list[str]
) -> None:
    registry, other = [await V3.registry(guarded_v3.address, **USER) for _ in range(2)]
    impatient = asyncio.create_task(registry.list(SERVICE))
    patient = asyncio.create_task(other.list(SERVICE))
    await eventually(lambda: len(asyncio.all_tasks()) > 3, 2, "the token is being asked for")
    impatient.cancel()
    assert await patient == {}
    assert asked == ["root"]
    for each in (registry, other):
        await each.close()


@pytest.mark.processes
async def test_a_registry_that_is_closed_while_a_token_is_asked_for_does_not_cancel_the_others(
    guarded_v3: Etcd,
) -> None:
    registry, other = [await V3.registry(guarded_v3.address, **USER) for _ in range(2)]
    closed, kept = asyncio.create_task(registry.list(SERVICE)), asyncio.create_task(other.list(SERVICE))
    await eventually(lambda: len(asyncio.all_tasks()) > 3, 2, "the token is being asked for")
    await registry.close()
    await asyncio.wait([closed, kept])
    assert not kept.cancelled()
    assert kept.exception() is None or isinstance(kept.exception(), RegistryUnavailable)
    assert await other.list(SERVICE) == {}
    await other.close()


@pytest.fixture(scope="module")
def guarded_v3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """An etcd that asks for a user over v3, with a second user who may read and write one service only."""
    with V3.etcd(tmp_path_factory.mktemp("guarded-v3")) as started:
        V3.ask_for_user(started.address)
        for command in (
            f"role grant-permission part readwrite --prefix {ROOT}/{SERVICE}/",
            f"user add part:{PASSWORD}",
            "user grant-role part part",
        ):
            if command.startswith("role"):
                etcdctl(started.address, f"--user=root:{PASSWORD}", "role", "add", "part")
            etcdctl(started.address, f"--user=root:{PASSWORD}", *command.split())
        yield started


@pytest.mark.processes
async def test_a_user_that_may_not_do_it_is_named_and_no_new_token_asked_for(
    guarded_v3: Etcd, asked: list[str]
) -> None:
    registry = await V3.registry(guarded_v3.address, etcd_username="part", etcd_password=PASSWORD)
    await registry.advertise(SERVICE, "a", "h:1", TTL)
    for _ in range(3):
        with pytest.raises(RegistryUnavailable, match=r"does not permit .*'part'"):
            await registry.advertise("elsewhere", "a", "h:1", TTL)
    assert asked == ["part"]
    await registry.withdraw(SERVICE, "a", "h:1")
    await registry.close()


@pytest.mark.processes
async def test_a_token_that_is_no_longer_good_is_renewed_by_one_for_all(guarded_v3: Etcd, asked: list[str]) -> None:
    tokens = tokens_of(V3.settings(guarded_v3.address, **USER).registry.etcd)
    assert tokens
    registry = await V3.registry(guarded_v3.address, **USER)
    tokens.present = "worn out"
    assert await asyncio.gather(*(registry.list(SERVICE) for _ in range(20))) == [{}] * 20
    assert asked == ["root"]
    await registry.close()


@pytest.mark.processes
async def test_a_change_of_users_makes_etcd_refuse_old_tokens_and_they_are_renewed(
    guarded_v3: Etcd, asked: list[str]
) -> None:
    """etcd says `revision of auth store is old` or `invalid auth token`; both mean the same to us."""
    registry = await V3.registry(guarded_v3.address, **USER)
    assert await registry.list(SERVICE) == {}
    await asyncio.to_thread(etcdctl, guarded_v3.address, f"--user=root:{PASSWORD}", "role", "add", "another")
    assert await asyncio.gather(*(registry.list(SERVICE) for _ in range(20))) == [{}] * 20
    assert len(asked) <= 2
    await registry.close()


@pytest.mark.processes
async def test_what_is_asked_without_a_token_is_refused_in_the_words_that_are_looked_for(guarded_v3: Etcd) -> None:
    """The texts of etcd's on which a rule hangs: `user name is empty`."""
    registry = await V3.registry(guarded_v3.address)
    with pytest.raises(RegistryUnavailable, match="asks for a user"):
        await registry.list(SERVICE)
    await registry.close()


@pytest.mark.processes
async def test_with_a_user_v2_asks_little(tmp_path: Path) -> None:
    """Seven services that are followed cost one reading and one long poll at a time."""
    with V2.etcd(tmp_path) as etcd:
        await asyncio.to_thread(V2.ask_for_user, etcd.address)
        registry = await V2.registry(etcd.address, **USER)
        calls = 0
        members = registry._members  # type: ignore[attr-defined]  # what it asks is counted
        call = members.call

        async def counted(work: object) -> object:
            nonlocal calls
            calls += 1
            return await call(work)

        members.call = counted
        names = [f"service-{number}" for number in range(7)]
        async with asyncio.timeout(20):
            gathered = [registry.watch(name) for name in names]
            assert await asyncio.gather(*(anext(each) for each in gathered)) == [{}] * 7
            assert calls <= 2
            await asyncio.gather(*(registry.advertise(name, "a", "h:1", TTL) for name in names))
            before = calls
            assert await asyncio.gather(*(anext(each) for each in gathered)) == [{"a": "h:1"}] * 7
            assert calls - before <= 4, "a burst of changes is read once or twice"
        for each in gathered:
            await each.aclose()
        await registry.close()


def test_a_user_without_a_password_is_none() -> None:
    assert Settings.from_environment("TEST_", {}, etcd_username="root").registry.etcd.user is None
