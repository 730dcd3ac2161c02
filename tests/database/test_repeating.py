"""When a statement is tried again: with attempts that fail as a database would fail them."""

import time
from collections.abc import Awaitable, Callable

import pytest

from common.database import Outcome, settled
from common.database.availability import TooFewReplicas, WriteTimedOut, too_few, unavailable
from common.database.repeating import read_again, repeated
from common.errors import Unavailable
from grpc_discovery.serving.deadlines import set_time_left
from tests.database.recording import recording

Attempt = Callable[[TooFewReplicas | None], Awaitable[str]]


@pytest.fixture(autouse=True)
def no_deadline() -> None:
    """Each test begins without a deadline."""
    set_time_left(None)


def failing(*failures: Exception) -> tuple[Attempt, list[TooFewReplicas | None]]:
    """An attempt that fails so often before it succeeds, and what it was given each time."""
    left, given = list(failures), []

    async def attempt(former: TooFewReplicas | None) -> str:
        given.append(former)
        if left:
            raise left.pop(0)
        return "written"

    return attempt, given


async def test_it_is_repeated_while_too_few_replicas_answer() -> None:
    attempt, given = failing(too_few(True), too_few(False))
    assert await repeated(attempt) == "written"
    assert [type(former) for former in given] == [type(None), WriteTimedOut, TooFewReplicas]


async def test_each_repetition_is_told_in_the_span_of_the_call_with_what_went_before() -> None:
    attempt, _ = failing(too_few(True), too_few(False))
    again, _ = failing()
    claims, _ = failing(unavailable())

    async def settling() -> Outcome:
        await claims(None)
        return Outcome(applied=True, current=[])

    with recording([]) as span:
        await repeated(attempt)
        await read_again(lambda: again(None), TooFewReplicas("away"))
        await settled(settling, {})
    assert [(name, attributes["reason"]) for name, _, attributes in span.events] == [
        ("retry", "WriteTimedOut"),
        ("retry", "TooFewReplicas"),
        ("retry", "TooFewReplicas"),
        ("retry", "NotAnswering"),
    ]


async def test_it_is_not_repeated_when_no_node_answers() -> None:
    attempt, given = failing(unavailable())
    with pytest.raises(Unavailable):
        await repeated(attempt)
    assert len(given) == 1


async def test_what_is_not_idempotent_is_tried_once() -> None:
    attempt, given = failing(too_few(False))
    with pytest.raises(TooFewReplicas):
        await repeated(attempt, idempotent=False)
    assert len(given) == 1


async def test_no_repetition_runs_past_the_deadline() -> None:
    attempt, given = failing(*[too_few(False)] * 100)
    set_time_left(0.5)
    began = time.monotonic()
    with pytest.raises(TooFewReplicas):
        await repeated(attempt)
    assert 1 < len(given) < 10
    assert time.monotonic() - began < 0.5


async def test_a_read_is_made_once_more_and_not_again() -> None:
    attempt, given = failing(too_few(False))
    with pytest.raises(TooFewReplicas):
        await read_again(lambda: attempt(None), TooFewReplicas("away"))
    assert len(given) == 1


async def test_a_transaction_that_was_applied_unnoticed_is_known_by_what_only_it_writes() -> None:
    answers: list[Exception | Outcome] = [unavailable(), Outcome(False, [{"claim": 7, "user": 1}])]

    async def attempt() -> Outcome:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert (await settled(attempt, {"claim": 7})).applied


async def test_a_transaction_that_lost_to_another_is_not_applied() -> None:
    for first in ([], [unavailable()]):
        answers: list[Exception | Outcome] = [*first, Outcome(False, [{"claim": 8}])]

        async def attempt(answers: list[Exception | Outcome] = answers) -> Outcome:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        assert not (await settled(attempt, {"claim": 7})).applied


async def test_an_outcome_that_stays_unknown_is_unavailable() -> None:
    asked = 0

    async def attempt() -> Outcome:
        nonlocal asked
        asked += 1
        raise unavailable()

    with pytest.raises(Unavailable):
        await settled(attempt, {"claim": 7})
    assert asked == 3
