"""A short cut of `make fuzz`, in one process, where holds of the event loop and reads are measured, too."""

from collections.abc import Iterator

import pytest

from common.settings import Settings
from infra.cassandra import Cassandra
from tests.fuzz.fuzzing import fuzz_messages, fuzz_tokens
from tests.fuzz.world import World, in_this_process

COUNT = 2000


@pytest.fixture
def world(cassandra: Cassandra, settings: Settings) -> Iterator[World]:
    with in_this_process(settings) as world:
        yield world


def test_whatever_is_sent_is_answered_with_a_status_that_says_what_is_wrong_and_holds_no_loop(world: World) -> None:
    fuzz_messages(world, COUNT)
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "UNAUTHENTICATED"} <= world.statuses.keys()


def test_a_forged_token_is_refused_or_gives_a_page_of_the_list_that_costs_no_more_than_the_first(world: World) -> None:
    before = dict(world.statuses)
    fuzz_tokens(world, COUNT)
    assert all(world.statuses[status] > before.get(status, 0) + 100 for status in ("OK", "INVALID_ARGUMENT"))
