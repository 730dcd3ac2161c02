"""The caller's deadline, kept in a context variable so that handlers need not pass it on.

The interceptor sets it; whatever waits for something else, such as a database, asks how much of it is left.
"""

import time
from contextvars import Context, ContextVar, copy_context

from grpc_discovery.serving.statuses import DeadlineExceeded, ServiceError, Unavailable

# Timers of loops and drivers are a little off, so a deadline that is about to pass counts as passed.
_TIMER_SLACK_SECONDS = 0.05

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def set_time_left(seconds: float | None) -> None:
    """Set the deadline of the present task to `seconds` from now; None for a caller that set none."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


def time_left(max_seconds: float) -> float:
    """Seconds that a piece of work may take now: what is left of the deadline, and never more than `max_seconds`.

    Raises DeadlineExceeded when nothing is left, so that no work is begun after it.
    """
    deadline = _deadline.get()
    if deadline is None:
        return max_seconds
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the deadline of the call has passed")
    return min(left, max_seconds)


def waited_too_long(text: str) -> ServiceError:
    """The error for something that took too long: DeadlineExceeded if the caller's time is up, else Unavailable with `text`."""
    deadline = _deadline.get()
    if deadline is not None and deadline - time.monotonic() < _TIMER_SLACK_SECONDS:
        return DeadlineExceeded("the deadline of the call has passed")
    return Unavailable(text)


def context_without_deadline() -> Context:
    """A copy of the present context in which no deadline is set, for work that outlives the call."""
    context = copy_context()
    context.run(_deadline.set, None)
    return context
