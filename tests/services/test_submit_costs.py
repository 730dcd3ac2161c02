"""What a submit costs is bounded, whatever its texts are: counted in messages to the database and in the steps within them."""

from collections.abc import Sequence
from itertools import product
from typing import Any
from uuid import uuid4

import pytest

from common.database import Outcome, Values, Write
from grpc_discovery.serving.deadlines import finish_shielded
from language.spelling import SPELLING_PREFIX
from language.word_index import MAX_DESCRIPTION_TERMS
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.spellings import MAX_NEW_SPELLINGS
from services.video_catalog.submissions import Submissions
from services.video_catalog.video import Submission

HAN = "".join(chr(0x4E00 + number) for number in range(20_000))
WORDS = [f"{first}{second}{third}an" for first in "bcdfghjklm" for second in "aeiou" for third in "nprst"]
ORDINARY_STEPS = 1_100
"""Of an ordinary submit, of which seven in eight let mistyped words be corrected, after its answer: seven steps for each new word."""
LONG = " ".join(
    f"{first}{second}{third}{fourth}er"
    for first, second, third, fourth in product("bcdfgklm", "aeiou", "nprst", "aeiou")
)
"""2,000 characters have 285 of these words."""


class CountingWrites:
    """A database without videos that counts what it is sent."""

    def __init__(self) -> None:
        self.messages = self.steps = 0

    async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
        self.messages += 1
        self.steps += 1

    async def batch(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        self.messages += 1
        self.steps += len(steps)

    batch_unlogged = batch

    async def write_if(self, statement: Write, *values: Any) -> Outcome:
        self.messages += 1
        return Outcome(applied=True, current=[])

    async def select_one(self, statement: Any, *values: Any) -> None:
        self.messages += 1


async def costs(name: str, description: str, tags: frozenset[str]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Messages and steps of a submit: before its answer, and with what follows it in the background."""
    database: Any = CountingWrites()
    submission = Submission(uuid4(), uuid4(), name, description, "x", 0, "//x", tags)
    await Submissions(VideoCatalogRepository(database)).submit(submission)
    before = database.messages, database.steps
    assert await finish_shielded(10) == 0
    return before, (database.messages, database.steps)


async def cost(name: str, description: str, tags: frozenset[str]) -> tuple[int, int]:
    """Messages and steps of a submit, with what follows it in the background."""
    return (await costs(name, description, tags))[1]


ORDINARY = (" ".join(WORDS[:6]), " ".join(WORDS[10:90]), frozenset(WORDS[100:108]))
"""6 words of name, 80 of description and 8 tags."""


async def ordinary() -> tuple[int, int]:
    """The cost of a submit of the usual length."""
    return await cost(*ORDINARY)


@pytest.mark.parametrize(
    ("name", "description"),
    [("name", HAN), (HAN[:1000], ""), ("name", "x" * 20_000), ("name", " ".join(f"w{n}x" for n in range(3000)))],
    ids=["description in Han", "name in Han", "one long word", "many words"],
)
async def test_the_longest_texts_cost_at_most_five_times_an_ordinary_submit(name: str, description: str) -> None:
    messages, steps = await cost(name, description, frozenset())
    assert messages <= 5 * (await ordinary())[0]
    assert steps <= MAX_DESCRIPTION_TERMS + ORDINARY_STEPS


@pytest.mark.parametrize("text", [HAN, " ".join(f"w{n}x" for n in range(4000))], ids=["Han", "words"])
async def test_a_hundred_long_tags_cost_at_most_fifteen_times_an_ordinary_submit(text: str) -> None:
    tags = frozenset(f"{number}{text[number * 197 : (number + 1) * 197]}".strip() for number in range(100))
    messages, steps = await cost("name", "", tags)
    assert messages <= 15 * (await ordinary())[0]
    assert steps <= MAX_DESCRIPTION_TERMS + ORDINARY_STEPS


async def test_an_ordinary_submit_costs_what_the_bounds_above_rest_on() -> None:
    messages, steps = await ordinary()
    assert messages <= 18
    assert steps <= ORDINARY_STEPS


async def test_before_its_answer_an_ordinary_submit_writes_no_spellings() -> None:
    (messages, steps), _ = await costs(*ORDINARY)
    assert messages <= 13  # the claim, the row, the clock, eight batches of hints, the batch, the claim's end
    assert steps <= 200


async def test_before_its_answer_a_long_description_costs_as_much_as_its_beginning() -> None:
    name, _, tags = ORDINARY
    (messages, steps), _ = await costs(name, LONG[:20_000], tags)
    (of_beginning, steps_of_beginning), _ = await costs(name, LONG[:2_000], tags)
    assert steps <= steps_of_beginning + 1  # the word that is cut
    assert messages == of_beginning


async def test_after_its_answer_a_long_description_costs_so_much_at_most() -> None:
    _, (messages, steps) = await costs("name", LONG[:20_000], frozenset())
    assert steps <= MAX_DESCRIPTION_TERMS + MAX_NEW_SPELLINGS * (SPELLING_PREFIX + 1) + ORDINARY_STEPS
    assert messages <= 30
