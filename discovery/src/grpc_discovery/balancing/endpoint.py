"""One instance as a caller sees it: a channel that is kept open, its health as the instance itself tells it, and the calls under way."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from grpc_discovery.tasks import cancel_and_wait, keep_running, keep_trying

_MAX_FAILURES = 5
_RECHECK_SECONDS = 0.25
_FAILURES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}

_log = logging.getLogger(__name__)


class Health(Enum):
    """What is known of an instance."""

    UNKNOWN = "unknown"
    SERVING = "serving"
    NOT_SERVING = "not serving"
    AWAY = "away"


class Ejection(Enum):
    """Why an instance that is advertised and serving gets no new calls for a while."""

    HUNG = "hung"
    FAILING = "failing"


class Endpoint:
    """An instance of one service at one address."""

    def __init__(self, address: str, service: str, channel: aio.Channel, on_change: Callable[[], None]) -> None:
        """`service` is the name under which health is asked for; `on_change` is told when that changes, and of ejection and return."""
        self.address, self.channel, self._on_change = address, channel, on_change
        self.health = Health.UNKNOWN
        self.ejected: Ejection | None = None
        self.callables: dict[object, Any] = {}  # the channel's methods, kept by whoever calls them
        self._checks, self._request = HealthStub(channel), HealthCheckRequest(service=service)
        self._under_way: set[Any] = set()
        # Calls that wait for their first answer, in order of their beginning: when, and how to make one elsewhere.
        self._waiting: dict[Any, tuple[float, Callable[[], None] | None]] = {}
        self._answered_at = time.monotonic()
        self._failures = self._ejections = 0
        self._retiring = False
        self._following = self._follow_anew()
        self._returning: asyncio.Task[None] | None = None

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return len(self._under_way)

    @property
    def is_usable(self) -> bool:
        """Whether calls can be sent here, now or as soon as it has told its health, which takes a second at most."""
        may_serve = self.health is Health.UNKNOWN and time.monotonic() - self._answered_at < 1.0
        return self.ejected is None and (self.health is Health.SERVING or may_serve)

    def begin(self, call: Any, *, waits: bool, reroute: Callable[[], None] | None = None) -> None:
        """A call of grpc.aio begins. If it `waits` for an answer and this instance hangs, `reroute`, where given, makes it elsewhere."""
        self._under_way.add(call)
        if waits:
            self._waiting[call] = (time.monotonic(), reroute)
        call.add_done_callback(self.end)

    def end(self, call: Any) -> None:
        """A call is over; that may be told twice."""
        self._waiting.pop(call, None)
        self._under_way.discard(call)

    def record_answer(self, call: Any) -> None:
        """The first answer to a call has come."""
        self._waiting.pop(call, None)
        self._answered_at = time.monotonic()
        self._failures = self._ejections = 0

    def record_failure(self, error: aio.AioRpcError, seconds: float) -> bool:
        """A call has failed after so many seconds. Whether several in a row have failed in a way that says that the instance is not well."""
        # A call that runs out of a shorter time says more of the caller than of the instance.
        ran_out = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and seconds > 0.5
        if error.code() in _FAILURES or ran_out:
            self._failures += 1
            return self._failures >= _MAX_FAILURES
        self._failures, self._answered_at = 0, time.monotonic()
        return False

    def silent_seconds(self) -> float:
        """For how long calls have been waiting here without any being answered."""
        now = time.monotonic()
        began, _ = next(iter(self._waiting.values()), (now, None))
        return now - max(began, self._answered_at)

    async def answers(self) -> bool:
        """Ask for its health: whether it answers at all within 0.3 s, whatever it says."""
        try:
            await self._checks.Check(self._request, timeout=0.3)
        except aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND):
                return False
        self._answered_at = time.monotonic()
        return True

    async def is_stopping(self) -> bool:
        """Whether it left the list, or its health or its connection tells of a stop, or does so within 0.1 s."""
        for _ in range(20):
            is_connected = self.channel.get_state() is grpc.ChannelConnectivity.READY
            if self._retiring or self.health in (Health.NOT_SERVING, Health.AWAY) or not is_connected:
                return True
            await asyncio.sleep(0.005)
        return False

    def eject(self, reason: Ejection, may_reroute: Callable[[], bool]) -> None:
        """Send no new calls here until it answers again. If it hangs, calls that may be made elsewhere are, as many as `may_reroute` allows."""
        _log.warning("%s is ejected: %s", self.address, reason.value)
        self.ejected = reason
        if reason is Ejection.HUNG:
            for _, reroute in list(self._waiting.values()):
                if reroute and may_reroute():
                    reroute()
        returning = keep_trying(f"the return of {self.address}", self._return)
        self._returning = asyncio.create_task(returning, name=f"return of {self.address}")
        self._on_change()

    def mark_unreachable(self) -> None:
        """A call did not even begin here: choose others until it says again that it serves."""
        if self.health is not Health.AWAY and not self._retiring:
            self._following.cancel()
            self._following = self._follow_anew()
            self._set(Health.AWAY)

    async def retire(self) -> None:
        """Let calls under way finish, then close."""
        self._retiring = True
        while self._under_way:  # noqa: ASYNC110  they end when they end
            await asyncio.sleep(_RECHECK_SECONDS)
        await self.close()

    async def close(self) -> None:
        self._retiring = True
        await cancel_and_wait([self._following, self._returning])
        await self.channel.close(None)

    async def _return(self) -> None:
        """Come back when it answers; one that fails after a second, and twice as long each time that it fails again at once, at most 32 s."""
        if self.ejected is Ejection.FAILING:
            await asyncio.sleep(2 ** min(self._ejections, 5) * random.uniform(0.8, 1.2))
            self._ejections += 1
            self._failures = _MAX_FAILURES - 1  # on trial: the next failure is the last
        while not await self.answers():  # noqa: ASYNC110  it is another process that is waited for
            await asyncio.sleep(_RECHECK_SECONDS)
        _log.info("%s is back", self.address)
        self.ejected = None
        self._on_change()

    def _follow_anew(self) -> "asyncio.Task[None]":
        following = keep_running(f"the watch on the health of {self.address}", self._follow)
        return asyncio.create_task(following, name=f"health of {self.address}")

    async def _follow(self) -> None:
        """Know its health from now on: a connection or a stream that breaks means that it is away."""
        while True:
            while (state := self.channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    self._set(Health.AWAY)
                await self.channel.wait_for_state_change(state)
            if not await self._read_health():
                self._set(Health.SERVING)
                await self.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
            self._set(Health.AWAY)
            await asyncio.sleep(0.02)

    async def _read_health(self) -> bool:
        """Take what the instance tells of its health until the stream breaks. False: it tells nothing, so it serves while it is connected."""
        request = self._request
        try:
            while True:
                watch = self._checks.Watch(request, wait_for_ready=True)
                async for answer in watch:
                    if answer.status != HealthCheckResponse.SERVING:
                        break
                    self._set(Health.SERVING)
                else:
                    return True
                # A stream that stays open would hold up an instance that is finishing its calls.
                watch.cancel()
                if answer.status != HealthCheckResponse.SERVICE_UNKNOWN:
                    self._set(Health.NOT_SERVING)
                    await asyncio.sleep(_RECHECK_SECONDS * random.uniform(0.8, 1.2))
                elif request.service:
                    request = HealthCheckRequest()  # many servers tell their health as a whole only
                else:
                    return False
        except aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNIMPLEMENTED

    def _set(self, health: Health) -> None:
        if health is not self.health:
            _log.debug("%s: %s", self.address, health.value)
            self.health = health
            self._on_change()
