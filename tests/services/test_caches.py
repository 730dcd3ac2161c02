"""Every cache is bounded in bytes, whatever it is fed. docs/operations.md lists them."""

import asyncio
import tracemalloc
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from common.errors import Unavailable
from language.text import MAX_KNOWN_CHARACTERS, _separators, stems, words
from language.word_index import analyse
from services.search.repository import SampleRow
from services.search.statistics import estimated
from services.statistics.counting import JOURNAL, PeerRow
from services.statistics.repository import StatisticsRepository
from services.suggested_videos.candidates import Contents
from services.suggested_videos.histories import Histories, Likers
from services.suggested_videos.rarity import counted
from services.suggested_videos.rows import ContentRow, RatingRow, RingRow
from services.video_catalog.index_plan import INSERT_WORD
from services.video_catalog.index_queue import queued_submit
from services.video_catalog.late_indexing import MAX_WAITING, LateIndexing, Rest
from services.video_catalog.recently_written import MAX_REMEMBERED, RecentlyWritten
from services.video_catalog.spellings import MAX_NEW_SPELLINGS, Spellings

MB = 1_000_000


def resident() -> int:
    """Bytes of this process in memory: tracemalloc does not see what a library in C holds by itself."""
    with open("/proc/self/statm", encoding="ascii") as pages:
        return int(pages.read().split()[1]) * 4096


class Growth:
    """How many bytes are held more than at its start."""

    def __init__(self) -> None:
        self._before = tracemalloc.get_traced_memory()[0]

    def __call__(self) -> int:
        return tracemalloc.get_traced_memory()[0] - self._before


@pytest.fixture
def growth() -> Iterator[Growth]:
    tracemalloc.start()
    yield Growth()
    tracemalloc.stop()


def test_words_of_any_length_are_not_remembered(growth: Growth) -> None:
    for number in range(12):
        analyse("name", (), chr(0x4E00 + number) * 20_000)  # an unspaced run
        analyse("name", (), chr(0x430 + number) * 20_000)  # one word of 20,000 letters
    assert growth() < 2 * MB


def test_words_of_usual_length_are_remembered_within_a_bound(growth: Growth) -> None:
    for number in range(50):
        analyse(
            "name",
            (),
            " ".join(
                f"{number * 1000 + word:b}"[2:].translate({48: "б", 49: "ё"}).ljust(40, "я") for word in range(1000)
            ),
        )
    assert growth() < 25 * MB


def test_long_words_are_not_remembered_by_the_stemmer() -> None:
    stems([f"{number:05}".ljust(20_000, "x") for number in range(50)])
    before = resident()
    for number in range(2000):
        stems([f"q{number:05}".ljust(20_000, "x")])
    assert resident() - before < 10 * MB


def test_characters_are_remembered_within_a_bound(growth: Growth) -> None:
    for first in range(0x100, 0x30000, 1000):
        words("".join(chr(code) for code in range(first, first + 1000) if not 0xD800 <= code < 0xE000))
    assert len(_separators) <= MAX_KNOWN_CHARACTERS
    assert growth() < 5 * MB


class Raters:
    """People with so many ratings each, of videos that nobody else rated."""

    def __init__(self, ratings: int) -> None:
        self._ratings = ratings

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        return [RatingRow(user_id, uuid4(), 5) for user_id in user_ids for _ in range(self._ratings)]


@pytest.mark.parametrize(("ratings", "people"), [(0, 9_000), (1, 9_000), (400, 300), (800, 300)])
async def test_histories_are_bounded_by_what_they_take(growth: Growth, ratings: int, people: int) -> None:
    histories = Histories(Raters(ratings), max_bytes=4 * MB)
    for _ in range(people // 100):
        await histories.of([uuid4() for _ in range(100)], 100)
    assert growth() < 4 * MB * 1.2 + 15 * MB  # the numbers of videos are beside it


class Likes:
    """Videos with so many people who like them, others for each video."""

    async def ratings_of(self, video_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        return [RatingRow(uuid4(), video_id, 5) for video_id in video_ids for _ in range(limit)]


async def test_who_likes_videos_is_bounded_by_what_it_takes(growth: Growth) -> None:
    likers = Likers(Likes(), max_bytes=2 * MB)
    for _ in range(40):
        await likers.of([uuid4() for _ in range(10)], 250)
    assert growth() < 2 * MB * 1.2 + MB


@pytest.mark.parametrize(("tags", "letters"), [(0, 10), (20, 10), (100, 200)])
async def test_contents_are_bounded_by_what_they_take(growth: Growth, tags: int, letters: int) -> None:
    contents = Contents(max_bytes=4 * MB)
    for _ in range(30):
        rows = [
            ContentRow(uuid4(), uuid4(), f"n{uuid4().hex}" * 20, {uuid4().hex.ljust(letters, "x") for _ in range(tags)})
            for _ in range(40)
        ]
        await contents.of({row.video_id: row for row in rows})
        del rows
    assert growth() < 4 * MB * 1.2 + 5 * MB  # the terms of words are remembered beside it


async def test_the_rarities_of_a_sample_are_counted_within_a_bound(growth: Growth) -> None:
    rows = [
        RingRow(number, uuid4(), uuid4(), None, " ".join(f"w{number:x}z{word:x}" for word in range(160)), "", tags)
        for number in range(256)
        for tags in [{f"t{number:x}z{tag:x}" for tag in range(100)}]
    ]
    growth = Growth()
    assert (await counted(rows)).sampled == 256
    assert growth() < 14 * MB


def test_spellings_that_were_written_are_remembered_within_a_bound(growth: Growth) -> None:
    written = RecentlyWritten("spellings")
    for number in range(2 * MAX_REMEMBERED // 1000):
        written.add(f"{number:08}{word:032}" for word in range(1000))
    assert growth() < 15 * MB


async def test_the_words_of_a_sample_are_counted_within_a_bound(growth: Growth) -> None:
    rows = [
        SampleRow(number, "name", (), " ".join(f"w{number:x}z{word:x}" for word in range(400))) for number in range(256)
    ]
    growth = Growth()
    statistics = await estimated(rows)
    assert statistics.sampled == 256
    assert growth() < 25 * MB


class NoDatabase:
    """Takes writes and keeps none."""

    async def select_one(self, *_: Any) -> PeerRow:
        return PeerRow(uuid4())

    async def write(self, statement: Any, *values: Any) -> None: ...


async def test_plays_are_remembered_within_a_bound(growth: Growth) -> None:
    repository = StatisticsRepository(NoDatabase())  # type: ignore[arg-type]  # a fake
    for _ in range(25_000):
        await repository.add_play(uuid4())
        await asyncio.sleep(0)
    assert growth() < 5 * MB


class HalfADatabase(NoDatabase):
    """Every second increment fails."""

    def __init__(self) -> None:
        self.increments = self.journaled = 0

    async def write(self, statement: Any, *values: Any, timestamp_us: int | None = None) -> None:
        self.journaled += statement is JOURNAL
        if not statement.idempotent:
            self.increments += 1
            if self.increments % 2:
                raise Unavailable("away")


async def test_plays_beside_the_counter_are_remembered_for_so_many_videos(growth: Growth) -> None:
    database = HalfADatabase()
    repository = StatisticsRepository(database)  # type: ignore[arg-type]  # a fake
    for _ in range(12_000):
        with suppress(Unavailable):
            await repository.add_play(uuid4())
        await asyncio.sleep(0)
    assert database.journaled > 11_000
    assert growth() < 8 * MB


async def test_submits_that_wait_to_be_indexed_are_bounded(growth: Growth) -> None:
    repository: Any = None  # nothing is written before the first pause
    late_indexing = LateIndexing(repository, Spellings(repository))
    for number in range(2 * MAX_WAITING):
        spellings = [f"{number:06}{word:012}" for word in range(MAX_NEW_SPELLINGS)]
        submit = queued_submit(uuid4(), number, number)
        steps = [(INSERT_WORD, (f"{number}{word}", 1, 1, submit.video_id, 1)) for word in range(100)]
        late_indexing.add(Rest(submit, number, steps if number % 2 else (), spellings))
    assert growth() < 48 * MB
