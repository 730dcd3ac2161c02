"""Advertising from a program without asyncio, in a real etcd."""

import threading
import time

import pytest

from discovery.tests.etcds import KINDS, ROOT, V2, Kind
from grpc_discovery import BlockingRegistration, State
from infra.etcd import Etcd
from infra.processes import wait_until

ADDRESS = "10.0.0.5:3000"
BOTH = pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.discovery)


def advertising(kind: Kind, etcd: str, *, serving: bool = True) -> BlockingRegistration:
    return BlockingRegistration("web", ADDRESS, kind.settings(etcd, ttl=2, withdraw_wait=0), serving=serving)


def until(kept: BlockingRegistration, state: State) -> None:
    wait_until(lambda: kept.state is state, 8, f"it is {state.value}")


@pytest.mark.processes
@BOTH
def test_the_entry_stands_for_as_long_as_the_block_and_follows_what_any_thread_says(kind: Kind, etcd: Etcd) -> None:
    path = f"{ROOT}/web/{ADDRESS}"
    with advertising(kind, etcd.address) as kept:
        until(kept, State.ADVERTISED)
        assert kind.holds(etcd.address, path)
        for serving, state in ((False, State.WAITING), (True, State.ADVERTISED)):
            thread = threading.Thread(target=kept.set_serving, args=[serving])
            thread.start()
            thread.join()
            until(kept, state)
            assert kind.holds(etcd.address, path) is serving
    assert kept.state is State.WITHDRAWN
    assert not kind.holds(etcd.address, f"{ROOT}/web")


@pytest.mark.processes
def test_it_is_withdrawn_also_when_the_block_fails(etcd: Etcd) -> None:
    def fail() -> None:
        with advertising(V2, etcd.address) as kept:
            until(kept, State.ADVERTISED)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not V2.holds(etcd.address, f"{ROOT}/web")


@pytest.mark.processes
def test_what_does_not_serve_yet_is_advertised_when_it_does(etcd: Etcd) -> None:
    with advertising(V2, etcd.address, serving=False) as kept:
        assert kept.state is State.WAITING
        assert not V2.holds(etcd.address, f"{ROOT}/web")
        kept.set_serving(True)
        until(kept, State.ADVERTISED)


@pytest.mark.processes
@BOTH
def test_an_etcd_that_is_away_keeps_nobody_waiting(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> None:
    late = kind.etcd(tmp_path_factory.mktemp("late"))
    began = time.monotonic()
    with advertising(kind, late.address) as kept:
        assert time.monotonic() - began < 2
        assert kept.state is not State.ADVERTISED
        with late:
            until(kept, State.ADVERTISED)
        began = time.monotonic()
    assert time.monotonic() - began < 4, "nor at the end"


@pytest.mark.parametrize(("name", "address"), [("a/b", ADDRESS), ("web", "nowhere"), ("web", "0.0.0.0:80")])
def test_a_name_or_an_address_that_can_be_none_is_refused_and_leaves_no_thread(name: str, address: str) -> None:
    threads = threading.active_count()
    with pytest.raises(ValueError, match=r"is no name|is not host:port|cannot be dialled"):
        BlockingRegistration(name, address, V2.settings("127.0.0.1:1")).__enter__()
    wait_until(lambda: threading.active_count() <= threads, 5, "its thread has ended")
