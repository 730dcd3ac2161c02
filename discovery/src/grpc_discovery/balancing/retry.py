"""Which calls are made again elsewhere: never more than a share of all, and only where that can do no harm."""

import grpc
from grpc import aio

_SHARE = 0.1
_RESERVE = 10.0
_MAX_SAVED = 100.0

_WORTH_REPEATING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


class RetryBudget:
    """One repetition for every ten calls, with a small reserve, so that repeating never makes an overload worse."""

    def __init__(self) -> None:
        self._left = _RESERVE

    def count_call(self) -> None:
        """A new call pays in its tenth."""
        self._left = min(self._left + _SHARE, _MAX_SAVED)

    def take(self) -> bool:
        """Whether one repetition is allowed; it is paid for then."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


def was_not_sent(error: aio.AioRpcError) -> bool:
    """Whether no instance can have seen the call, because there was no connection to send it on.

    gRPC tells this in the text of the status only; test_retry.py holds the text against a real refusal.
    """
    return error.code() is grpc.StatusCode.UNAVAILABLE and (error.details() or "").startswith(
        "failed to connect to all addresses"
    )


def is_worth_repeating(error: aio.AioRpcError) -> bool:
    """Whether another instance may do better with the same call.

    A message that is too large is so everywhere: gRPC says RESOURCE_EXHAUSTED of it, as servers do that have too much to do.
    """
    return error.code() in _WORTH_REPEATING and not is_too_large(error)


def is_too_large(error: aio.AioRpcError) -> bool:
    """Whether a request or an answer went over the limit for messages. The text is gRPC's; test_retry.py holds it against the real one."""
    return (
        error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        and "message larger than max" in (error.details() or "").lower()
    )
