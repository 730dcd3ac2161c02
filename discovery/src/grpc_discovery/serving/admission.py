"""How long calls stand in line before this process sees them.

gRPC hands calls to an event loop one at a time, and keeps those that it has not handed over yet in a line of its own. Nobody can look at it,
so a process that is asked for more than it can do would see only a few calls at once while hundreds wait for seconds. So it asks itself ten
times a second, by calls that go to the end of the same line: the oldest of them that has not come through was sent when the calls that come
through now were.
"""

import asyncio
import logging
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, asynccontextmanager, suppress

from grpc import aio

MOST_SECONDS = 0.25
"""A line that takes longer is too long..."""
MOST_CALLS = 256
"""...unless no more than so many calls came before: they are a burst, which a slow machine shall work off."""

_ASK_EVERY_SECONDS = 0.1
# No server knows it, so the answer is UNIMPLEMENTED and costs nothing; it comes when the line before it is through.
_QUESTION = "/killrvideo/how-long-is-the-line"

_log = logging.getLogger(__name__)


class Line:
    """The line of calls before one server."""

    def __init__(self) -> None:
        self.seen = 0
        """Calls that came through so far. Whoever takes calls counts them here."""
        self._asked: deque[tuple[float, int]] = deque()

    @property
    def too_long(self) -> bool:
        """Whether calls that come through now have waited too long, so that it is better to refuse them than to let all wait."""
        if not self._asked:
            return False
        since, seen = self._asked[0]
        return self.seen - seen > MOST_CALLS and time.monotonic() - since > MOST_SECONDS

    @asynccontextmanager
    async def watched(self, server: aio.Server) -> AsyncIterator[None]:
        """Watch the line of a server, which starts and stops within; by a socket in a folder that no other user may enter."""
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-"))
                address = f"unix:{folder}/line"
                server.add_insecure_port(address)
            except (OSError, RuntimeError) as error:
                _log.warning("a line of calls that gets too long will not be noticed: no socket for it: %s", error)
                yield
                return
            task = asyncio.create_task(self._watch(address), name="watch the line")
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def _watch(self, address: str) -> None:
        async with aio.insecure_channel(address) as channel, asyncio.TaskGroup() as questions:
            ask = channel.unary_unary(_QUESTION, bytes, bytes)
            seen = self.seen
            while True:
                await asyncio.sleep(_ASK_EVERY_SECONDS)
                if self.seen == seen:
                    continue  # nobody calls
                seen = self.seen
                self._asked.append((time.monotonic(), seen))
                questions.create_task(self._await_answer(ask(b"")))

    async def _await_answer(self, answer: Awaitable[bytes]) -> None:
        try:
            with suppress(aio.AioRpcError):
                await answer
        finally:
            self._asked.popleft()
