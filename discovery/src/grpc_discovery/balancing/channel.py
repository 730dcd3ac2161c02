"""One call from beginning to end: choosing an instance, and going to another where that does no harm."""

import asyncio
import random
import time
from typing import Any

import grpc
from grpc import aio

from client.endpoint import Endpoint, Moved
from client.methods import may_be_repeated
from client.pool import Pool

_WORTH_REPEATING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
_PAUSE_SECONDS = (0.01, 0.05)


class BalancedChannel:
    """What a generated stub takes for its channel: each call goes to an instance of the pool."""

    def __init__(self, pool: Pool, timeout: float, metadata: tuple[tuple[str, str], ...]) -> None:
        self._pool, self._timeout, self._metadata = pool, timeout, metadata

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, _registered_method: bool = False
    ) -> "_Method":
        """One method of the stub."""
        return _Method(self._pool, (method, request_serializer, response_deserializer), self._timeout, self._metadata)


class _Method:
    def __init__(
        self, pool: Pool, method: tuple[str, Any, Any], timeout: float, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        self._pool, self._method, self._timeout, self._metadata = pool, method, timeout, metadata
        self._repeatable = may_be_repeated(method[0])

    async def __call__(self, request: Any, *, timeout: float | None = None, metadata: Any = (), **options: Any) -> Any:
        """Make the call. `timeout` is in seconds; raises grpc.aio.AioRpcError."""
        pool, budget = self._pool, self._pool.budget
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        options["metadata"] = (*self._metadata, *(metadata or ())) or None
        tried: list[Endpoint] = []
        failure: aio.AioRpcError | None = None
        budget.call_made()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise failure or _unavailable(f"no instance of {pool.name} can be called: {pool.describe()}")
            endpoint = pool.choose(tried)
            if endpoint is None:
                await pool.wait_for_change(left)
                continue
            try:
                return await endpoint.call(self._method, request, self._repeatable, timeout=left, **options)
            except Moved:
                pass
            except aio.AioRpcError as error:
                failure = error
                if was_not_begun(error):
                    endpoint.doubt()
                else:
                    pool.judge(endpoint)
                    if not (self._repeatable and error.code() in _WORTH_REPEATING and budget.take()):
                        raise
            if endpoint in tried:
                await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))
            tried.append(endpoint)


def was_not_begun(error: aio.AioRpcError) -> bool:
    """Whether the instance certainly has not begun the call, so that it may be made elsewhere whatever it does.

    A server that stops answers CANCELLED to what it had not begun, and UNAVAILABLE `Cancelling all calls` to what it had.
    """
    if error.code() is grpc.StatusCode.CANCELLED:
        return True
    return error.code() is grpc.StatusCode.UNAVAILABLE and (error.details() or "").startswith(
        "failed to connect to all addresses"
    )


def _unavailable(details: str) -> aio.AioRpcError:
    return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), details, None)
