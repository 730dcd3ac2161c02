"""What is required of every answer, whatever was sent."""

from collections.abc import Callable, Sequence

import grpc
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.calls import Answer, Sent
from tests.fuzz.messages import requests
from tests.fuzz.tokens import forged
from tests.fuzz.world import Reads, World

BATCH = 8
"""Requests of one example: made side by side, as callers do."""

MAX_HOLD_SECONDS = 0.05

MAX_STATEMENTS = {
    "GetUserComments": 1,
    "GetVideoComments": 1,
    # A date and the rows beside it, as for a starting point.
    "GetUserVideoPreviews": 2,
    "GetLatestVideoPreviews": 2 + 30,
    # The postings of 40 words and 48 alternatives, and the rows of a page of 1,000 in hundreds.
    "SearchVideos": 88 + 12,
    # A list by its date, the newest one instead, and in two rounds the previews and own ratings of 200 videos.
    "GetRelatedVideos": 2 + 2 * 1,
    "GetSuggestedForUser": 2 + 2 * 2,
}
"""What a page reads at most: that of a forged token no more than the first page of the dearest honest request."""

_BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED)
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Broken(AssertionError):
    """An answer that must not be."""


def fuzz_messages(world: World, count: int, seed_of_run: int | None = None) -> None:
    """Send `count` requests of all calls. Raises Broken for the smallest that hypothesis finds."""
    _each(
        st.lists(requests(world.known), min_size=BATCH, max_size=BATCH),
        count,
        lambda batch: _send(world, batch),
        seed_of_run,
    )


def fuzz_tokens(world: World, count: int, seed_of_run: int | None = None) -> None:
    """Ask for `count` pages of all lists with forged tokens. Raises Broken for the smallest that hypothesis finds."""
    _each(
        st.lists(forged(world.known), min_size=BATCH, max_size=BATCH),
        count,
        lambda batch: _ask(world, batch),
        seed_of_run,
    )


def _each(
    batches: st.SearchStrategy[list[Sent]], count: int, do: Callable[[list[Sent]], None], seed_of_run: int | None
) -> None:
    """Draw `count` requests in batches. Without a seed they are the same in every run."""

    @settings(
        max_examples=count // BATCH,
        deadline=None,
        database=None,
        derandomize=seed_of_run is None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )
    @given(batches)
    def run(batch: list[Sent]) -> None:
        do(batch)

    (run if seed_of_run is None else seed(seed_of_run)(run))()


def _send(world: World, batch: list[Sent]) -> None:
    for sent, answer in zip(batch, _answers(world, batch), strict=True):
        _require(answer.status not in _BROKEN, sent, answer)
        if answer.status in _AWAY:
            # On a busy machine Cassandra may be late; twice in a row it is the request.
            [again] = world.send_all([sent])
            _require(again.status not in _AWAY, sent, again)


def _ask(world: World, batch: list[Sent]) -> None:
    answers = [_cheap_answer(world, world.reads, sent) for sent in batch] if world.reads else world.send_all(batch)
    for sent, answer in zip(batch, answers, strict=True):
        if answer.status is grpc.StatusCode.OK:
            _require_honest_page(world, sent, answer)
        else:
            _require(answer.status is grpc.StatusCode.INVALID_ARGUMENT, sent, answer)
            _require(answer.details == "paging_state is not one that this list gave out", sent, answer)


def _cheap_answer(world: World, reads: Reads, sent: Sent) -> Answer:
    """The answer, made with no more statements than a first page takes. Work in the background reads, too, but not twice in a row."""
    for _ in range(2):
        reads.reset()
        [answer] = _answers(world, [sent])
        allowed = 0 if answer.status is grpc.StatusCode.INVALID_ARGUMENT else MAX_STATEMENTS[sent.call]
        if reads.statements <= allowed:
            return answer
    raise Broken(f"{sent}\n  -> read by {reads.statements} statements")


def _require_honest_page(world: World, sent: Sent, answer: Answer) -> None:
    """The page of a list has no more rows than were asked for, none twice, and only those of the list."""
    rows = next(value for field, value in answer.message.ListFields() if field.is_repeated) if _has_rows(answer) else []
    by = "comment_id" if sent.call.endswith("Comments") else "video_id"
    ids = [getattr(row, by).value for row in rows]
    _require(len(ids) <= sent.request.page_size and len(set(ids)) == len(ids), sent, answer)  # type: ignore[attr-defined]
    list_key = next((getattr(value, "value", value) for field, value in sent.request.ListFields()), "")
    for of in world.known.lists:
        if of.call == sent.call and of.list_key == list_key and of.rows:
            _require(of.rows.issuperset(ids), sent, answer)


def _has_rows(answer: Answer) -> bool:
    return any(field.is_repeated for field, _ in answer.message.ListFields())


def _answers(world: World, batch: Sequence[Sent]) -> list[Answer]:
    """The answers, with no step that held the loop too long: none that did so twice in a row."""
    for _ in range(2):
        if world.holds:
            world.holds.reset()
        answers = world.send_all(batch)
        if world.holds is None or world.holds.longest <= MAX_HOLD_SECONDS:
            return answers
    assert world.holds
    raise Broken(
        f"{str(batch)[:3000]}\n  -> held the loop for {world.holds.longest * 1000:.0f} ms of CPU time: {world.holds.what}"
    )


def _require(condition: bool, sent: object, found: object) -> None:
    if not condition:
        raise Broken(f"{str(sent)[:3000]}\n  -> {str(found)[:1000]}")
