"""Admission: how long calls wait in the queue before this process sees them, and whether it is better to shed them.

gRPC hands calls to an event loop one at a time and keeps the others in a queue of its own, which nobody can look at. A process that is
asked for more than it can do would see only a few calls at once while hundreds wait for seconds. So it measures the queue delay by probes:
ten times a second a call of its own goes to the end of the same queue. The oldest probe that has not come through was sent when the calls
that come through now were.
"""

import asyncio
import logging
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf

from grpc import StatusCode, aio

MAX_DELAY_SECONDS = 0.25
"""With a longer queue delay calls are shed..."""
MAX_BURST_CALLS = 256
"""...unless no more than so many calls came before: they are a burst, which a slow machine shall work off."""

_PROBE_EVERY_SECONDS = 0.1
# No server knows it, so the answer is UNIMPLEMENTED and costs nothing; it comes when the queue before it is through.
_PROBE = "/grpc_discovery.Admission/Probe"
# An idle connection is kept: where no calls come for half an hour there are no probes either, and a new connection would be a new fault.
_PROBE_OPTIONS = (("grpc.client_idle_timeout_ms", 2**31 - 1), ("grpc.use_local_subchannel_pool", 1))

_log = logging.getLogger(__name__)


class AdmissionQueue:
    """The queue of calls before one server."""

    def __init__(self) -> None:
        self.taken = 0
        """Calls that came through so far. Whoever takes calls counts them here."""
        self.socket_is_closed_to_calls = False
        """Whether calls that come by the probe's socket are refused: with TLS, which that socket does not have."""
        self._probes: deque[tuple[float, int]] = deque()
        self._probe_fails = False
        # What the last probe that came through has waited, and when that was.
        self._last_delay, self._measured_at = 0.0, -inf

    @property
    def is_too_long(self) -> bool:
        """Whether calls that come through now have waited too long, so that it is better to shed them than to let all wait."""
        if not self._probes:
            return False
        since, taken = self._probes[0]
        return self.taken - taken > MAX_BURST_CALLS and time.monotonic() - since > MAX_DELAY_SECONDS

    @property
    def delay(self) -> float:
        """Seconds that calls wait now before this process sees them, as the probes tell; 0 where no calls come."""
        now = time.monotonic()
        last = self._last_delay if now - self._measured_at < 10 * _PROBE_EVERY_SECONDS else 0.0
        return max(last, now - self._probes[0][0] if self._probes else 0.0)

    @contextmanager
    def socket(self, server: aio.Server, *, only_probe: bool) -> Iterator[str | None]:
        """A socket of a server that is not started yet, for the probe, in a folder that no other user may enter; yields its address.

        None if no socket can be made, which is logged. `only_probe` closes it to all other calls.
        """
        self.socket_is_closed_to_calls = only_probe
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="grpc-discovery-"))
                address: str | None = f"unix:{folder}/probe"
                server.add_insecure_port(f"unix:{folder}/probe")
            except (OSError, RuntimeError) as error:
                _log.warning("overload will not be noticed, since there is no socket for the probe: %s", error)
                address = None
            yield address

    async def watch(self, address: str) -> None:
        """Measure the queue delay without end, by the socket at `address`. The server has been started."""
        self._probes.clear()
        async with aio.insecure_channel(address, options=_PROBE_OPTIONS) as channel, asyncio.TaskGroup() as probes:
            probe = channel.unary_unary(_PROBE, bytes, bytes)
            taken = self.taken
            while True:
                await asyncio.sleep(_PROBE_EVERY_SECONDS)
                if self.taken != taken:  # somebody calls
                    taken = self.taken
                    self._probes.append((time.monotonic(), taken))
                    probes.create_task(self._await_answer(probe(b"")))

    async def _await_answer(self, answer: Awaitable[bytes]) -> None:
        """Log, once, that the probe does not come through, and that it does again."""
        try:
            await answer
        except aio.AioRpcError as error:
            failed, self._probe_fails = self._probe_fails, error.code() is not StatusCode.UNIMPLEMENTED
            if self._probe_fails and not failed:
                told = f"{error.code().name}: {error.details()}"
                _log.warning("overload is not noticed now: the probe failed: %s", told)
            elif failed and not self._probe_fails:
                _log.info("overload is noticed again")
        finally:
            sent, _ = self._probes.popleft()
            self._measured_at = time.monotonic()
            self._last_delay = self._measured_at - sent
