"""What is known of all videos from a sample of them: kept for half a minute, made again behind the callers' backs.

Nothing is counted with each write: a sample is read, so whatever happens to the table is known soon. Rows of `videos` lie on the ring in the order of
a hash of their ids, so the first few hundred are any few hundred, and how closely they lie tells how many there are (the k-minimum-values
estimate of distinct elements: Z. Bar-Yossef et al., "Counting distinct elements in a data stream", RANDOM 2002).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Generic, Protocol, TypeVar

from common.database import DatabaseError
from grpc_discovery import ServiceError, start_shielded

SAMPLE_ROWS = 256
"""The first rows in the order of their tokens that are a sample. Of a smaller table all."""

FRESH_SECONDS = 30.0

RING_START = -(1 << 63)
"""Before the first token: no row has this one."""

_RING_SIZE = 1 << 64

_log = logging.getLogger(__name__)


class HasToken(Protocol):
    """A row that tells where it lies on the ring."""

    @property
    def token(self) -> int:
        """Its token."""
        ...


SampledRow = TypeVar("SampledRow", bound=HasToken)
Estimate = TypeVar("Estimate")


class RingSample(Generic[SampledRow, Estimate]):
    """Keeps an estimate. A caller that finds it stale starts a new one in the background, and waits only while there is none yet."""

    def __init__(
        self,
        read: Callable[[int], Awaitable[Sequence[SampledRow]]],
        estimate: Callable[[Sequence[SampledRow]], Awaitable[Estimate]],
        unknown: Estimate,
    ) -> None:
        """`read` reads so many rows from the start of the ring; `unknown` is the estimate while they cannot be read."""
        self._read, self._estimate, self._unknown = read, estimate, unknown
        self._latest: Estimate | None = None
        self._made_at = 0.0
        self._making: asyncio.Task[None] | None = None

    @property
    def kept(self) -> Estimate | None:
        """The estimate that is kept, however old; None while there is none."""
        return self._latest

    async def latest(self) -> Estimate:
        """The estimate of the last half minute, or at least some."""
        if self._latest is None or monotonic() - self._made_at > FRESH_SECONDS:
            if self._making is None or self._making.done():
                # Others wait for it, too: it must not end with this caller, nor at its deadline.
                self._making = start_shielded(self._make())
            if self._latest is None:
                await asyncio.shield(self._making)
        return self._unknown if self._latest is None else self._latest

    async def _make(self) -> None:
        try:
            rows = await self._read(SAMPLE_ROWS)
        except (ServiceError, DatabaseError) as error:
            _log.warning("the sample of the videos was not refreshed: %s", error)
            return  # the reads that follow find it back, or say what is wrong
        self._latest = await self._estimate(rows)
        self._made_at = monotonic()


def number_of_videos(sample: Sequence[HasToken]) -> float:
    """About how many videos there are, by how closely those of the sample lie; exactly, where the sample is all of them."""
    if len(sample) < SAMPLE_ROWS:
        return len(sample)
    return (len(sample) - 1) * _RING_SIZE / max(sample[-1].token - RING_START, 1)
