"""The judge finds what is planted, and nothing in what services really answer while one of them is killed or paused."""

from pathlib import Path

import pytest

from infra.cassandra import Cassandra
from tests.chaos.histories import instances, one_run, record
from tests.chaos.judging import Call, Judge
from tests.chaos.world import world


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """The judge, built."""
    return Judge(tmp_path_factory.mktemp("judge"))


def rate(begin: int, user: str, rating: int, result: str = "ok") -> Call:
    return Call("rating", "video", "rate", 1, begin, begin + 1, result, user=user, number=rating)


def totals(begin: int, number: int, total: int) -> Call:
    return Call("rating", "video", "get", 2, begin, begin + 1, "ok", number=number, total=total)


def create(begin: int, user: str, result: str = "ok") -> Call:
    return Call("account", "a@b.c", "create", 1, begin, begin + 1, result, user=user, text=f"password of {user}")


def verify(begin: int, user: str, result: str = "ok") -> Call:
    found = user if result == "ok" else ""
    return Call("account", "a@b.c", "verify", 2, begin, begin + 1, result, user=found, text=f"password of {user}")


def submit(begin: int, user: str, name: str, result: str = "ok") -> Call:
    return Call("video", "video", "submit", 1, begin, begin + 1, result, user=user, text=name)


def get(begin: int, user: str, name: str, result: str = "ok") -> Call:
    return Call("video", "video", "get", 2, begin, begin + 1, result, user=user, text=name)


LEGAL = {
    "a rating replaces": [rate(1, "ann", 2), rate(3, "ann", 5), rate(5, "bob", 1), totals(7, 2, 6)],
    "a rating whose outcome is unknown takes effect later": [
        rate(1, "ann", 2, "unknown"),
        totals(3, 0, 0),
        totals(5, 1, 2),
    ],
    "or never": [rate(1, "ann", 2, "unknown"), totals(3, 0, 0), rate(5, "bob", 1), totals(7, 1, 1)],
    "the first has the address": [
        create(1, "ann"),
        create(3, "bob", "refused"),
        verify(5, "ann"),
        verify(7, "bob", "refused"),
    ],
    "a claim holds an address": [create(1, "ann", "unknown"), create(3, "bob", "refused"), verify(5, "ann", "refused")],
    "a video is submitted again": [submit(1, "ann", "one"), submit(3, "ann", "two"), get(5, "ann", "two")],
    "a video has one owner": [submit(1, "ann", "one"), submit(3, "bob", "two", "refused"), get(5, "ann", "one")],
}
PLANTED = {
    "a rating counted twice": [rate(1, "ann", 3), totals(3, 2, 6)],
    "a rating is lost": [rate(1, "ann", 3), rate(3, "bob", 4), totals(5, 1, 4)],
    "a stale read of totals": [rate(1, "ann", 3), totals(3, 1, 3), totals(5, 0, 0)],
    "an unknown rating comes and goes": [rate(1, "ann", 2, "unknown"), totals(3, 1, 2), totals(5, 0, 0)],
    "two accounts": [create(1, "ann"), create(3, "bob")],
    "an account is lost": [create(1, "ann"), verify(3, "ann", "refused")],
    "a free address is refused": [create(1, "ann", "refused")],
    "another's account": [create(1, "ann"), create(3, "bob", "unknown"), verify(5, "bob")],
    "two owners": [submit(1, "ann", "one"), submit(3, "bob", "two")],
    "a video is lost": [submit(1, "ann", "one"), get(3, "", "", "refused")],
    "a stale read of a video": [submit(1, "ann", "one"), submit(3, "ann", "two"), get(5, "ann", "one")],
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_may_happen_is_linearizable(judge: Judge, name: str) -> None:
    assert judge.verdict(LEGAL[name]) == (1, 0, 0, [])


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(judge: Judge, name: str) -> None:
    assert judge.verdict(PLANTED[name])[:3] == (0, 1, 0)


def test_a_fault_among_many_calls_is_found(judge: Judge) -> None:
    """Eight callers rate at once for a while; one answer in the middle is too high by one rating."""
    history = [rate(10 * step + caller, f"user {caller}", step % 5 + 1) for step in range(40) for caller in range(8)]
    answers = [totals(10 * step + 9, 8, 8 * (step % 5 + 1)) for step in range(40)]
    assert judge.verdict([*history, *answers]).illegal == 0
    answers[20].number, answers[20].total = 9, answers[20].total + 3
    assert judge.verdict([*history, *answers]).illegal == 1


@pytest.mark.processes
async def test_what_is_planted_in_the_services_is_found(judge: Judge, cassandra: Cassandra, tmp_path: Path) -> None:
    """A rating counted twice, a stale read of a video, a user who was acknowledged and not created."""
    async with world(tmp_path, 3, cassandra) as given, instances(given, "tests.chaos.faulty_services"):
        history = (await record(given, 10)).history
    for kind in ("rating", "video", "account"):
        assert judge.verdict(call for call in history if call.kind == kind).illegal, kind


@pytest.mark.processes
@pytest.mark.parametrize("fault", ["killed", "paused"])
async def test_histories_are_linearizable_while_a_service_fails(
    judge: Judge, fault: str, cassandra: Cassandra, tmp_path: Path
) -> None:
    async with world(tmp_path, 3, cassandra) as given, instances(given) as (victim, _):
        row = await one_run(given, judge, victim, fault, 25)
    assert row.held, row.row()
