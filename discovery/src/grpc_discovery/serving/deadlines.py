"""The caller's deadline, kept in a context variable so that handlers need not know of it.

The server's interceptor sets it; the database asks for what is left before and during each statement.
"""

import time
from contextvars import ContextVar

from common.errors import DeadlineExceeded, ServiceError, Unavailable

_ABOUT_NOW = 0.05

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def set_time_left(seconds: float | None) -> None:
    """Set the deadline of the present task to `seconds` from now; None for a caller that set none."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


def time_left(most: float) -> float:
    """Seconds that a piece of work may take now: what is left of the deadline, and never more than `most`.

    Raises DeadlineExceeded when nothing is left, so that no work is begun after it.
    """
    deadline = _deadline.get()
    if deadline is None:
        return most
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the deadline of the call has passed")
    return min(left, most)


def waited_too_long(what_is_wrong: str) -> ServiceError:
    """What a caller is told when something took too long: whose time is up, the caller's or ours, makes the difference."""
    deadline = _deadline.get()
    # Timers of loops and drivers are a little off, so a deadline that is about to pass is what ended the wait.
    if deadline is not None and deadline - time.monotonic() < _ABOUT_NOW:
        return DeadlineExceeded("the deadline of the call has passed")
    return Unavailable(what_is_wrong)
