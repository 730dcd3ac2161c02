"""Whether the database is there, and what a caller and an operator are told when it is not. Shared by the drivers."""

from collections.abc import Iterable

from common.errors import Unavailable
from grpc_discovery import DeadlineExceeded, ServiceError
from grpc_discovery.addresses import Address
from grpc_discovery.serving.deadlines import waited_too_long

_ENOUGH_MISSED = 2
_AWAY = "The database is not available at the moment. Please try again later."


class NotAnswering(Unavailable):
    """The database is away. Callers are told the same whatever the cause; `explained` tells an operator what the driver said."""


class TooFewReplicas(NotAnswering):
    """A node answers, but too few of those that hold the rows do. Soon others may: the ring has not yet noticed that one is gone."""


class WriteTimedOut(TooFewReplicas):
    """A write began, and too few nodes confirmed it in time. A logged batch is in the log of one of them, which completes it."""


class Availability:
    """Remembers whether the database answered when it was last asked.

    A database that hangs keeps its connections open, and every statement would wait for its whole time. So once it has missed two
    probes running, statements fail at once, until it answers one.
    """

    def __init__(self) -> None:
        self._missed = 0

    def note(self, answered: bool) -> bool:
        """Remember whether a probe was answered, and return it."""
        self._missed = 0 if answered else self._missed + 1
        return answered

    def require(self) -> None:
        """Raise Unavailable while the database is known to be away."""
        if self._missed >= _ENOUGH_MISSED:
            raise unavailable()


def unavailable() -> Unavailable:
    """What a caller is told when the database is away."""
    return NotAnswering(_AWAY)


def too_few(write_timed_out: bool) -> Unavailable:
    """What a caller is told when too few replicas answer."""
    return (WriteTimedOut if write_timed_out else TooFewReplicas)(_AWAY)


def unanswered() -> ServiceError:
    """What a caller is told when a statement was not answered in its time."""
    error = waited_too_long(_AWAY)
    return error if isinstance(error, DeadlineExceeded) else too_few(write_timed_out=False)


def explained(error: Exception, contact_points: Iterable[Address]) -> str:
    """What an operator is told of an error that a database at `contact_points` gave: for the log, not for callers."""
    if not isinstance(error, NotAnswering):
        return str(error)
    said = first_reason(error.__cause__) if error.__cause__ else "it has not answered for some seconds"
    return f"no answer from {', '.join(map(str, contact_points))}: {said}"


def first_reason(error: BaseException) -> str:
    """The reason of a driver's error; where it has one for each node, that of the first."""
    reasons = getattr(error, "errors", None)
    return str(next(iter(reasons.values()))) if isinstance(reasons, dict) and reasons else str(error)
