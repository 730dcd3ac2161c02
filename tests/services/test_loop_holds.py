"""No step of a service holds the event loop for more than 50 ms of its thread's CPU time, whatever it is fed. Each test feeds a worst case."""

import gc
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from common.database import CLOCK, ClockRow, IdText, Values, Write
from common.database.rows import made_in_slices, row_maker
from grpc_discovery.serving.deadlines import finish_shielded
from grpc_discovery.serving.loop_monitor import LoopMonitor
from language.scoring import TYPICAL, Counts
from services.search.plan import MAX_TERMS_IN_ALL, STANDS_FOR_IT, Alternative, Plan
from services.search.query_text import parse
from services.search.ranking import PlannedQuery
from services.search.repository import NamedRow, Posting, SampleRow, TermRow, VideoRow
from services.search.results import results
from services.search.statistics import estimated
from services.search.suggestions import Suggester
from services.suggested_videos.candidates import Contents
from services.suggested_videos.histories import Histories, Likers
from services.suggested_videos.list_repository import ListRow
from services.suggested_videos.personal import PersonalLists
from services.suggested_videos.ranked_list import MAX_LISTED
from services.suggested_videos.rarity import NONE
from services.suggested_videos.related import RelatedLists
from services.suggested_videos.repository import RATINGS_OF_VIDEOS
from services.suggested_videos.rows import ContentRow, DescribedRow, RatedRow, RatingRow, TaggedRow, TotalsRow, WordRow
from services.video_catalog.repository import StoredRow, VideoCatalogRepository
from services.video_catalog.submissions import Submissions
from services.video_catalog.video import Submission

MAX_HOLD_SECONDS = 0.05
NOW = datetime(2026, 1, 1)

HAN = "".join(chr(0x4E00 + number) for number in range(20_000))
ACCENTS = " ".join(f"é{number:x}à" for number in range(4000))[:20_000]
MIXED = "a漢" * 10_000
TEXTS = pytest.mark.parametrize("text", [HAN, ACCENTS, MIXED], ids=["han", "accents", "mixed"])


def tags_of(text: str) -> frozenset[str]:
    """100 tags of 200 characters."""
    return frozenset(f"{number}{text[number * 197 : (number + 1) * 197]}" for number in range(100))


def ids(count: int, of: int = 0) -> list[UUID]:
    """Ids that are different for each `of`."""
    return [UUID(int=(of << 64) + number + 1) for number in range(count)]


@contextmanager
def no_hold() -> Iterator[None]:
    """Fails if a step of the block holds the loop for too long. As in a service, what was there before is out of the garbage collector's hands."""
    gc.collect()
    gc.freeze()
    stolen = stolen_seconds()
    try:
        with LoopMonitor(0.005) as monitor:
            yield
    finally:
        gc.unfreeze()
    assert monitor.longest_hold - (stolen_seconds() - stolen) < MAX_HOLD_SECONDS


def stolen_seconds() -> float:
    """For how long the host of this machine has let its processors wait so far: the clock of a thread's CPU time goes on meanwhile."""
    with open("/proc/stat", encoding="ascii") as lines:
        return int(lines.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


class Postings:
    """A SearchRepository whose videos all have one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def videos(self, video_ids: Sequence[UUID]) -> dict[UUID, VideoRow]:
        return {each: VideoRow(each, NOW, "name", "//x", each, self.text, None) for each in video_ids}


@TEXTS
async def test_a_page_of_videos_that_have_the_word_at_the_end_of_a_long_description(text: str) -> None:
    posting = Counts(0, 0, 1, 6, 0, 2000).packed()
    postings = [Posting(IdText(str(video_id)), 1767225600000, posting, None) for video_id in ids(60)]
    term = "zebra"
    plan = Plan(((Alternative((term,), 1_000_000, STANDS_FOR_IT),),), 2000, TYPICAL, ())
    repository: Any = Postings(f"{text[: 20_000 - len(term) - 1]} {term}")
    with no_hold():
        found = await results(repository, PlannedQuery(parse(term), plan, {term: postings}), 60, None)
    assert len(found) == 60


async def test_a_query_of_as_many_postings_as_a_plan_can_ask_for() -> None:
    posting = Counts(0, 0, 1, 6, 0, 60).packed()
    postings = {
        f"word{word}": [Posting(IdText(str(video_id)), 1767225600000, posting, None) for video_id in ids(400, word)]
        for word in range(MAX_TERMS_IN_ALL)
    }
    alternatives = [Alternative((term,), 1_000_000, STANDS_FOR_IT) for term in postings]
    groups = tuple(tuple(alternatives[at : at + 6]) for at in range(0, len(alternatives), 6))
    repository: Any = Postings("word0 word1")
    with no_hold():
        found = await results(
            repository, PlannedQuery(parse("word0"), Plan(groups, 400, TYPICAL, ()), postings), 11, None
        )
    assert found


@TEXTS
async def test_a_sample_of_long_texts(text: str) -> None:
    rows = [SampleRow(number, text[:1000], tags_of(text), text) for number in range(8)]
    with no_hold():
        assert (await estimated(rows)).sampled == 8


@TEXTS
async def test_suggestions_of_videos_with_long_tags(text: str) -> None:
    tags = tags_of(text)

    class Terms:
        async def terms(self, beginning: str, after: str | None, limit: int) -> list[TermRow]:
            return (
                [TermRow(f"a{number}", video_id) for number, video_id in enumerate(ids(100))] if after is None else []
            )

        async def names(self, video_ids: Collection[UUID]) -> dict[UUID, NamedRow]:
            return {each: NamedRow(each, each, "a b c", tags) for each in video_ids}

        async def postings(self, words: Sequence[str], limit: int) -> list[list[Posting]]:
            return [[Posting(IdText(str(video_id)), 0, 0, None) for video_id in ids(limit)] for _ in words]

    repository: Any = Terms()
    with no_hold():
        await Suggester(repository).suggest("a", 200)


class People:
    """A SuggestedVideosRepository of 250 people with 800 ratings each, where all videos have one text."""

    def __init__(self, text: str, all_alike: bool) -> None:
        self.text, self.tags = text, tags_of(text)
        self.people = ids(250, 1)
        self.all_alike = all_alike

    def _rated(self, number: int) -> list[UUID]:
        return ids(800, 2 if self.all_alike else 10 + number)

    async def ratings_of(self, video_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        return [RatingRow(person, video_id, 5) for video_id in video_ids for person in self.people[:limit]]

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> list[RatingRow]:
        return [
            RatingRow(person, video_id, 5)
            for number, person in enumerate(user_ids)
            for video_id in self._rated(number)[:limit]
        ]

    async def rated_by(self, user_id: UUID, limit: int) -> list[RatedRow]:
        return [RatedRow(NOW, video_id, 5) for video_id in self._rated(0)[:200]]

    async def own_ratings(self, user_id: UUID, video_ids: Collection[UUID]) -> dict[UUID, int]:
        return dict.fromkeys(video_ids, 5)

    async def totals(self, video_ids: Collection[UUID]) -> dict[UUID, TotalsRow]:
        return {each: TotalsRow(each, 10, 45) for each in video_ids}

    async def contents(self, video_ids: Collection[UUID]) -> dict[UUID, ContentRow]:
        return {each: ContentRow(each, each, self.text[:1000], self.tags) for each in list(video_ids)[:60]}

    async def described(self, video_ids: Collection[UUID]) -> dict[UUID, DescribedRow]:
        return {each: DescribedRow(each, each, "name", (), self.text) for each in video_ids}

    async def with_words(self, words: Collection[str], limit: int) -> list[WordRow]:
        return [WordRow(word, video_id) for word in words for video_id in ids(limit, 3)]

    async def tagged(self, tags: Collection[str], limit: int) -> list[TaggedRow]:
        return [TaggedRow(tag, video_id) for number, tag in enumerate(tags) for video_id in ids(limit, 100 + number)]

    async def of_authors(self, user_ids: Collection[UUID], limit: int) -> list[UUID]:
        return ids(limit, 4)


@pytest.mark.parametrize(("text", "all_alike"), [(HAN, True), (ACCENTS, False), (MIXED, False)])
async def test_the_list_of_a_video_whose_likers_rated_much(text: str, all_alike: bool) -> None:
    repository: Any = People(text, all_alike)
    video = DescribedRow(UUID(int=5), UUID(int=6), text[:1000], tags_of(text), text)
    histories = Histories(repository)
    rows: list[RatingRow] = await repository.rated_by_each(repository.people, 800)

    class Read:
        async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> list[RatingRow]:
            return rows  # made before, because the database would make them elsewhere

    histories._source = Read()
    with no_hold():
        made = await RelatedLists(repository, histories, Contents()).full(video, 250, NONE)
    assert made.video_ids


@pytest.mark.parametrize(("text", "all_alike"), [(HAN, True), (ACCENTS, False), (MIXED, False)])
async def test_the_list_of_a_person_among_others_who_rated_much(text: str, all_alike: bool) -> None:
    repository: Any = People(text, all_alike)
    histories = Histories(repository)
    rows: list[RatingRow] = await repository.rated_by_each(
        repository.people[:100], 800
    )  # as many as are read of a video

    class Read:
        async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> list[RatingRow]:
            return rows

    popular = ListRow(NOW, NOW, "", [], 0, ids(MAX_LISTED, 7))
    histories._source = Read()
    with no_hold():
        made = await PersonalLists(repository, histories, Likers(repository), Contents()).full(
            UUID(int=8), popular, NONE
        )
    assert made.video_ids


class Writes:
    """A database that takes all writes, in which each video was submitted before with another text."""

    def __init__(self, older: Any) -> None:
        self.older = older
        self.written = 0

    async def write(self, statement: Write, *values: Any, timestamp_us: int | None = None) -> None:
        self.written += 1

    async def batch(self, steps: Sequence[tuple[Write, Values]], timestamp_us: int | None = None) -> None:
        self.written += len(steps)

    batch_unlogged = batch

    async def write_if(self, statement: Write, *values: Any) -> Any:
        return Applied()

    async def select_one(self, statement: Any, *values: Any) -> Any:
        return ClockRow(NOW) if statement is CLOCK else self.older


class Applied:
    applied = True


@TEXTS
async def test_a_submit_of_long_texts_in_place_of_other_long_texts(text: str) -> None:
    ours, user = UUID(int=1), UUID(int=2)
    reverse = text[::-1]

    row = StoredRow(ours, user, reverse[:1000], reverse, "x", 0, "", tags_of(reverse), NOW, 1, 1, 1, 1)
    database: Any = Writes(row)
    submission = Submission(ours, user, text[:1000], text, "x", 0, "", tags_of(text))
    with no_hold():
        await Submissions(VideoCatalogRepository(database)).submit(submission)
        assert await finish_shielded(10) == 0
    assert database.written > 100


async def test_many_rows_of_a_database() -> None:
    make = row_maker(RATINGS_OF_VIDEOS, {UUID: UUID})
    read = [(str(user), str(video), 5) for user, video in zip(ids(20_000, 1), ids(20_000, 2), strict=True)]
    with no_hold():
        assert len(await made_in_slices(make, read)) == 20_000
