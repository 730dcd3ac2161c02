"""What a caller is told when the database took too long: whose time was up."""

from contextvars import copy_context

import pytest

from common.database.availability import unanswered
from common.errors import Unavailable
from grpc_discovery import DeadlineExceeded, ServiceError
from grpc_discovery.serving.deadlines import set_time_left


def told(left: float | None) -> ServiceError:
    """What a caller with so many seconds left is told."""

    def call() -> ServiceError:
        set_time_left(left)
        return unanswered()

    return copy_context().run(call)


@pytest.mark.parametrize("left", [-1.0, 0.0, 0.001])
def test_it_was_the_deadline_that_passes_just_now_though_a_timer_fired_a_little_early(left: float) -> None:
    assert isinstance(told(left), DeadlineExceeded)


@pytest.mark.parametrize("left", [None, 5.0])
def test_it_was_our_patience_where_the_caller_has_time_left(left: float | None) -> None:
    error = told(left)
    assert isinstance(error, Unavailable)
    assert error.reason == "DATABASE_UNAVAILABLE"
