"""What a search waits for: reads that do not need each other go side by side, and what others wait for, too, has no caller's deadline."""

import asyncio
from typing import Any

from grpc_discovery import time_left
from grpc_discovery.serving.deadlines import set_time_left
from services.search.query import QueryPlanner
from services.search.query_text import MAX_WORDS
from services.search.repository import Posting, SampleRow
from services.search.statistics import statistics_sample
from tests.services.word_tables import WordTables, a_video


class CountingRounds(WordTables):
    """Answers reads only when nothing else can go on, all that wait by then at once: so many times is a round of reads waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = self.reads = 0
        self._next: asyncio.Task[None] | None = None

    async def _read(self) -> None:
        self.reads += 1
        if self._next is None:
            self._next = asyncio.create_task(self._round())
        await asyncio.shield(self._next)

    async def _round(self) -> None:
        await asyncio.sleep(0.02)
        self.rounds += 1
        self._next = None

    async def postings(self, *values: Any) -> list[list[Posting]]:
        await self._read()
        return await super().postings(*values)

    async def spellings(self, *values: Any) -> set[str]:
        await self._read()
        return await super().spellings(*values)

    async def terms(self, *values: Any) -> Any:
        await self._read()
        return await super().terms(*values)


async def test_40_unknown_words_are_looked_up_side_by_side() -> None:
    tables: Any = CountingRounds()
    tables.submit(a_video("gardening"))
    unknown = [f"{first}{second}rdening" for first in "hijklmno" for second in "vwxyz"]
    assert len(unknown) == MAX_WORDS
    query = await QueryPlanner(tables).plan(" ".join(unknown))
    assert len(query.plan.groups) == MAX_WORDS
    # Postings, and what may have been meant: a correction and the completions of each word. None was found, so each may be two words.
    assert (tables.rounds, tables.reads) == (3, 1 + 2 * MAX_WORDS + 1)


async def test_a_mistyped_word_costs_two_rounds_more() -> None:
    tables: Any = CountingRounds()
    tables.submit(a_video("gardening"))
    query = await QueryPlanner(tables).plan("gardenign")
    assert [alternative.terms for group in query.plan.groups for alternative in group] == [("garden",)]
    assert tables.rounds == 3


async def test_a_question_costs_two_rounds_more_and_a_shorter_query_none() -> None:
    tables: Any = CountingRounds()
    for number in range(9):
        tables.submit(a_video(f"gardening {number}", description="How to grow roses and tulips in spring"))
    shorter = await QueryPlanner(tables).plan("roses tulips spring")
    assert (tables.rounds, shorter.plan.feedback) == (1, ())
    question = await QueryPlanner(tables).plan("how do roses and tulips grow in spring")
    assert "garden" in dict(question.plan.feedback)
    assert tables.rounds == 1 + 2


async def test_only_results_of_a_question_say_what_it_is_about() -> None:
    tables: Any = WordTables()
    for number in range(5):
        tables.submit(a_video(f"gardening {number}", description="roses and herbs grow in spring"))
        tables.submit(a_video(f"windmills {number}", description="roses and tulips grow in spring"))
    planner = QueryPlanner(tables)
    everything = dict((await planner.plan("do roses grow big in spring")).plan.feedback)
    assert {"garden", "windmil"} <= everything.keys()
    without = dict((await planner.plan("do roses grow big in spring -tulips")).plan.feedback)
    assert "garden" in without
    assert "windmil" not in without


async def test_statistics_are_made_whole_whoever_begins_them() -> None:
    class Slow(WordTables):
        async def sample(self, limit: int) -> list[SampleRow]:
            await asyncio.sleep(0.1)
            time_left(5)  # as the database does before a statement; raises where a deadline has passed
            return await super().sample(limit)

    tables: Any = Slow()
    for number in range(20):
        tables.submit(a_video(f"video {number}"))
    sample = statistics_sample(tables)

    async def impatient() -> None:
        set_time_left(0.01)
        await sample.latest()

    first = asyncio.create_task(impatient())
    await asyncio.sleep(0)
    patient = asyncio.create_task(sample.latest())
    await asyncio.sleep(0)
    first.cancel()
    assert (await patient).sampled == 20
