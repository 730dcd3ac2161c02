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
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpc_discovery.tasks import cancel_and_wait, keep_running, keep_trying

# A failing instance is ejected for so long, and twice as long each time that it fails again at once.
_EJECTION_SECONDS = (1.0, 30.0)
_RECHECK_SECONDS = 0.25
_CHECK_SECONDS = 0.3
_MAX_FAILURES = 5
# A call that runs out of a shorter time than this says more of the caller than of the instance.
_MIN_PATIENCE_SECONDS = 0.5
# How long an instance may take to connect before it counts as away.
_CONNECT_SECONDS = 1.0
# A stop shows in the connection or in the health within this after the first call that it cancelled.
_STOP_SHOWS_SECONDS = 0.1
_FAILURES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
_DISCONNECTED = {grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN}
# Between the end of a health stream and the next.
_REWATCH_SECONDS = 0.02

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

    def __init__(
        self, address: str, service: str, open_channel: Callable[[str], aio.Channel], on_change: Callable[[], None]
    ) -> None:
        """`service` is the name under which its health is asked for. `on_change` is called whenever calls may be sent here now and might not before, or the other way round."""
        self.address = address
        self.health = Health.UNKNOWN
        self.ejected: Ejection | None = None
        self.channel = open_channel(address)
        self.callables: dict[object, Any] = {}
        """The channel's methods, kept by whoever calls them."""
        self.calls = 0
        """How many calls are under way."""
        self._on_change = on_change
        self._checks = health_pb2_grpc.HealthStub(self.channel)
        self._request = health_pb2.HealthCheckRequest(service=service)
        self._retiring = False
        self._watch: Any = None
        # Calls that wait for their first answer, in order of their beginning: when, and whether they may be made again elsewhere.
        self._waiting: dict[Any, tuple[float, bool]] = {}
        self._rerouted: set[Any] = set()
        self._opened_at = self._answered_at = time.monotonic()
        self._failures = 0
        self._ejection_seconds = _EJECTION_SECONDS[0]
        self._idle = asyncio.Event()
        self._idle.set()
        self._following = asyncio.create_task(
            keep_running(f"the watch on the health of {address}", self._follow), name=f"health of {address}"
        )
        self._returning: asyncio.Task[None] | None = None

    def begin(self, call: Any, idempotent: bool) -> None:
        """A call begins that waits for an answer; an idempotent one may be rerouted if this instance hangs."""
        self._waiting[call] = (time.monotonic(), idempotent)
        self.count_call()

    def count_call(self) -> None:
        """A call begins that may be silent for long, so that its silence says nothing."""
        self.calls += 1
        self._idle.clear()

    def record_answer(self, call: Any) -> None:
        """The first answer to a call has come."""
        self._waiting.pop(call, None)
        self._answered_at = time.monotonic()
        self._failures = 0
        self._ejection_seconds = _EJECTION_SECONDS[0]

    def record_failure(self, call: Any, error: aio.AioRpcError) -> None:
        """A call has failed. Some failures say that the instance does not do well, and others that it answers."""
        began, _ = self._waiting.get(call, (0.0, False))
        if error.code() in _FAILURES or (
            error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began > _MIN_PATIENCE_SECONDS
        ):
            self._failures += 1
        else:
            self._answered_at = time.monotonic()
            self._failures = 0

    def end(self, call: Any) -> None:
        """A call is over."""
        self._waiting.pop(call, None)
        self._rerouted.discard(call)
        self.calls -= 1
        if not self.calls:
            self._idle.set()

    def was_rerouted(self, call: Any) -> bool:
        """Whether a call that was cancelled was so because this instance hangs."""
        return call in self._rerouted

    @property
    def is_usable(self) -> bool:
        """Whether this instance counts as one that calls can be sent to, now or as soon as it is connected."""
        return self.ejected is None and self.health in (Health.UNKNOWN, Health.SERVING)

    @property
    def is_failing(self) -> bool:
        """Whether several calls in a row have failed."""
        return self._failures >= _MAX_FAILURES

    def silent_seconds(self) -> float:
        """For how long calls have been waiting here without any being answered."""
        if not self._waiting:
            return 0.0
        began, _ = next(iter(self._waiting.values()))
        return time.monotonic() - max(began, self._answered_at)

    async def answers(self, timeout: float = _CHECK_SECONDS) -> bool:
        """Ask for its health: whether it answers at all, whatever it says. `timeout` in seconds."""
        try:
            await self._checks.Check(self._request, timeout=timeout)
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED and error.code() is not grpc.StatusCode.NOT_FOUND:
                return False
        self._answered_at = time.monotonic()
        return True

    async def is_stopping(self) -> bool:
        """Whether this instance is known to be stopping: by its health, its connection, or because it left the list.

        Both may be told a moment after the first call that a stop has cancelled, so that moment is waited for.
        """
        waited_until = time.monotonic() + _STOP_SHOWS_SECONDS
        while not self._shows_a_stop():
            if time.monotonic() > waited_until:
                return False
            await asyncio.sleep(0.005)
        return True

    def _shows_a_stop(self) -> bool:
        return (
            self._retiring
            or self.health in (Health.NOT_SERVING, Health.AWAY)
            or self.channel.get_state() is not grpc.ChannelConnectivity.READY
        )

    def eject(self, reason: Ejection, may_reroute: Callable[[], bool]) -> None:
        """Send no new calls here until it answers again. If it hangs, calls that may be made elsewhere are, as many as `may_reroute` allows."""
        _log.warning("%s is ejected: %s", self.address, reason.value)
        self.ejected = reason
        if reason is Ejection.HUNG:
            for call, (_, idempotent) in list(self._waiting.items()):
                if idempotent and may_reroute():
                    self._rerouted.add(call)
                    call.cancel()
        self._returning = asyncio.create_task(
            keep_trying(f"the return of {self.address}", self._return), name=f"return of {self.address}"
        )
        self._on_change()

    def mark_unreachable(self) -> None:
        """A call did not even begin here: choose others until it says anew that it serves."""
        self._set(Health.AWAY)
        if self._watch is not None:
            self._watch.cancel()

    def check_connection(self) -> None:
        """Count an instance that gets no connection for long as away, such as one on a host that answers nothing."""
        if self.health is Health.UNKNOWN and time.monotonic() - self._opened_at > _CONNECT_SECONDS:
            self._set(Health.AWAY)

    async def retire(self) -> None:
        """Let calls under way finish, then close."""
        self._retiring = True
        await self._idle.wait()
        await self.close()

    async def close(self) -> None:
        """Stop following its health and close the channel; calls under way are cut off."""
        await cancel_and_wait([self._following, self._returning])
        await self.channel.close(None)

    async def _return(self) -> None:
        """Wait until calls may be sent here again: when it answers, and, if it failed, not before some time has passed."""
        if self.ejected is Ejection.FAILING:
            await asyncio.sleep(self._ejection_seconds * random.uniform(0.8, 1.2))
            self._ejection_seconds = min(self._ejection_seconds * 2, _EJECTION_SECONDS[1])
            self._failures = _MAX_FAILURES - 1  # on trial: the next failure is the last
        while not await self.answers():  # noqa: ASYNC110  it is another process that is waited for
            await asyncio.sleep(_RECHECK_SECONDS)
        _log.info("%s is back", self.address)
        self.ejected = None
        self._on_change()

    async def _follow(self) -> None:
        """Hold a stream on which the instance tells its health; a stream that breaks means that the instance is away."""
        while True:
            try:
                await self._connect()
                await self._read_health()
            except aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    await self._serve_while_connected()
                self._set(Health.AWAY)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task and task.cancelling():
                    raise  # else it is the stream that was cancelled, by mark_unreachable
            finally:
                if self._watch is not None:
                    self._watch.cancel()
            await asyncio.sleep(_REWATCH_SECONDS)

    async def _connect(self) -> None:
        """Return when there is a connection; an attempt that fails shows that the instance is away."""
        while (state := self.channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            if state in _DISCONNECTED:
                self._set(Health.AWAY)
            await self.channel.wait_for_state_change(state)

    async def _read_health(self) -> None:
        """Take what the stream tells until it says something else than SERVING, or ends."""
        # Many servers tell their health as a whole only.
        for request in (self._request, health_pb2.HealthCheckRequest()):
            self._watch = self._checks.Watch(request, wait_for_ready=True)
            while isinstance(answer := await self._watch.read(), health_pb2.HealthCheckResponse):
                if answer.status != health_pb2.HealthCheckResponse.SERVING:
                    break
                self._set(Health.SERVING)
            else:
                self._set(Health.AWAY)
                return
            # A stream that stays open would hold up an instance that is finishing its calls.
            self._watch.cancel()
            if answer.status != health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
                self._set(Health.NOT_SERVING)
                await self._until_serving(request)
                return
        await self._serve_while_connected()

    async def _until_serving(self, request: health_pb2.HealthCheckRequest) -> None:
        """Ask now and then until it serves again, or is away."""
        while True:
            await asyncio.sleep(_RECHECK_SECONDS * random.uniform(0.8, 1.2))
            try:
                answer = await self._checks.Check(request, timeout=1.0)
            except aio.AioRpcError:
                self._set(Health.AWAY)
                return
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return

    async def _serve_while_connected(self) -> None:
        """A server that does not tell its health serves as long as the channel is connected."""
        self._set(Health.SERVING)
        while (state := self.channel.get_state(try_to_connect=True)) not in _DISCONNECTED:
            await self.channel.wait_for_state_change(state)
        self._set(Health.AWAY)

    def _set(self, health: Health) -> None:
        if health is not self.health:
            _log.debug("%s: %s", self.address, health.value)
            self.health = health
            self._on_change()
