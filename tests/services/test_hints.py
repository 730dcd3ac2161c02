"""Hints that cannot be written: the call whose write stands succeeds all the same, and nothing of it is left when it is answered."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from common.database import DatabaseError, Outcome, Write
from common.errors import Unavailable
from grpc_discovery.serving.deadlines import finish_shielded
from services.ratings import repository as ratings
from services.ratings.repository import RatingsRepository
from services.ratings.tally import Tally
from services.statistics import counting
from services.statistics import repository as statistics
from services.statistics.repository import StatisticsRepository

FAILURES = (Unavailable("the database is away"), DatabaseError("the table is not there"))


class RefusingHints:
    """A database that holds nothing, takes whatever decides, and fails each hint after a moment."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.written: list[Write] = []
        self.refused: list[Write] = []

    async def select(self, *_: Any) -> list[Any]:
        return []

    async def select_one(self, *_: Any) -> None:
        return None

    async def batch_if(self, steps: Any) -> Any:
        self.written += [statement for statement, _ in steps]
        return Outcome(applied=True, current=[])

    async def write(self, statement: Write, *_: Any) -> None:
        if statement is counting.ADD_PLAY:
            self.written.append(statement)
            return
        await asyncio.sleep(0.02)
        self.refused.append(statement)
        raise self.failure


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_rating_that_is_written_is_told_as_written(failure: Exception) -> None:
    database: Any = RefusingHints(failure)
    await Tally(RatingsRepository(database)).rate(uuid4(), uuid4(), 4)
    assert ratings.SET_RATING in database.written
    assert set(database.refused) == {ratings.INSERT_OF_USER, ratings.ADD_TO_COUNTERS, ratings.INSERT_MARK}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_play_that_is_counted_is_told_as_counted(failure: Exception) -> None:
    database: Any = RefusingHints(failure)
    plays, video = StatisticsRepository(database), uuid4()
    for _ in range(2):
        await plays.add_play(video)
    assert database.written == [counting.ADD_PLAY] * 2
    assert database.refused == [statistics.INSERT_MARK]


async def test_of_a_rating_that_failed_nothing_goes_on() -> None:
    class Away(RefusingHints):
        async def batch_if(self, steps: Any) -> Any:
            raise DatabaseError("it is refused")

    database: Any = Away(FAILURES[0])
    with pytest.raises(DatabaseError, match="it is refused"):
        await Tally(RatingsRepository(database)).rate(uuid4(), uuid4(), 4)
    assert database.refused == []


async def test_nobody_waits_long_for_a_hint_and_it_is_written_all_the_same() -> None:
    class Slow(RefusingHints):
        async def write(self, statement: Write, *_: Any) -> None:
            await asyncio.sleep(1.2)
            self.written.append(statement)

    database: Any = Slow(FAILURES[0])
    began = asyncio.get_running_loop().time()
    await Tally(RatingsRepository(database)).rate(uuid4(), uuid4(), 4)
    assert asyncio.get_running_loop().time() - began < 1.0
    assert await finish_shielded(5.0) == 0
    assert {ratings.INSERT_OF_USER, ratings.ADD_TO_COUNTERS, ratings.INSERT_MARK} <= set(database.written)
