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

# A failing instance is left for so long, and twice as long each time that it fails again at once.
_LEFT_SECONDS = (1.0, 30.0)
_RECHECK_SECONDS = 0.25
_CHECK_SECONDS = 0.3
_FAILURES_IN_A_ROW = 5
# A call that runs out of a shorter time than this says more of the caller than of the instance.
_PATIENCE_SECONDS = 0.5
_FAILURES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}

_log = logging.getLogger(__name__)


class Health(Enum):
    """What is known of an instance."""

    UNKNOWN = "unknown"
    SERVING = "serving"
    NOT_SERVING = "not serving"
    AWAY = "away"


class Moved(Exception):
    """The call was taken off a hung instance and is to be made on another."""


class Endpoint:
    """An instance of one service at one address."""

    def __init__(
        self, address: str, full_name: str, open_channel: Callable[[str], aio.Channel], changed: Callable[[], None]
    ) -> None:
        """`changed` is called whenever the instance may be chosen now and might not before, or the other way round."""
        self.address = address
        self.health = Health.UNKNOWN
        self.left = ""
        """Why no new calls are sent here, though it is in the list: 'hung' or 'failing'."""
        self.channel = open_channel(address)
        self._changed = changed
        self._checks = health_pb2_grpc.HealthStub(self.channel)
        self._question = health_pb2.HealthCheckRequest(service=full_name)
        self._watch: Any = None
        self._methods: dict[str, Any] = {}
        # In order of their beginning: when, and whether they may be made again elsewhere.
        self._under_way: dict[Any, tuple[float, bool]] = {}
        self._moved: set[Any] = set()
        self._answered = 0.0
        self._failures = 0
        self._left_seconds = _LEFT_SECONDS[0]
        self._idle = asyncio.Event()
        self._idle.set()
        self._following = asyncio.create_task(self._follow(), name=f"health of {address}")
        self._returning: asyncio.Task[None] | None = None

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return len(self._under_way)

    async def call(self, method: tuple[str, Any, Any], request: Any, repeatable: bool, **options: Any) -> Any:
        """Make a call here. Raises AioRpcError as gRPC does, and Moved."""
        path = method[0]
        callable_ = self._methods.get(path)
        if callable_ is None:
            callable_ = self._methods[path] = self.channel.unary_unary(*method)
        call = callable_(request, **options)
        self._under_way[call] = (time.monotonic(), repeatable)
        self._idle.clear()
        try:
            answer = await call
        except aio.AioRpcError as error:
            self._note_failure(error, time.monotonic() - self._under_way[call][0])
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if call in self._moved and not (task and task.cancelling()):
                raise Moved from None
            raise
        else:
            self._answered = time.monotonic()
            self._failures = 0
            self._left_seconds = _LEFT_SECONDS[0]
            return answer
        finally:
            del self._under_way[call]
            self._moved.discard(call)
            if not self._under_way:
                self._idle.set()

    def silent_seconds(self) -> float:
        """For how long calls have been waiting here without any being answered."""
        if not self._under_way:
            return 0.0
        began, _ = next(iter(self._under_way.values()))
        return time.monotonic() - max(began, self._answered)

    async def answers(self, timeout: float = _CHECK_SECONDS) -> bool:
        """Ask for its health: whether it answers at all, whatever it says."""
        try:
            await self._checks.Check(self._question, timeout=timeout)
        except aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED and error.code() is not grpc.StatusCode.NOT_FOUND:
                return False
        self._answered = time.monotonic()
        return True

    def leave(self, why: str, may_move: Callable[[], bool]) -> None:
        """Send no new calls here until it answers again. If it hangs, calls that may be repeated are moved, as many as `may_move` allows."""
        _log.warning("%s is left: %s", self.address, why)
        self.left = why
        if why == "hung":
            for call, (_, repeatable) in list(self._under_way.items()):
                if repeatable and may_move():
                    self._moved.add(call)
                    call.cancel()
        self._returning = asyncio.create_task(self._return(why), name=f"return of {self.address}")
        self._changed()

    def doubt(self) -> None:
        """A call did not even begin here: choose others until it says anew that it serves."""
        self._set(Health.AWAY)
        if self._watch is not None:
            self._watch.cancel()

    async def retire(self) -> None:
        """Let calls under way finish, then close."""
        await self._idle.wait()
        await self.close()

    async def close(self) -> None:
        """Stop following its health and close the channel; calls under way are cut off."""
        tasks = [task for task in (self._following, self._returning) if task]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self.channel.close(None)

    def _note_failure(self, error: aio.AioRpcError, took: float) -> None:
        if error.code() in _FAILURES or (
            error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and took > _PATIENCE_SECONDS
        ):
            self._failures += 1
        else:
            self._answered = time.monotonic()
            self._failures = 0

    @property
    def failing(self) -> bool:
        """Whether several calls in a row have failed."""
        return self._failures >= _FAILURES_IN_A_ROW

    async def _return(self, why: str) -> None:
        """Wait until it may be chosen again: when it answers, and, if it failed, not before some time has passed."""
        if why == "failing":
            await asyncio.sleep(self._left_seconds * random.uniform(0.8, 1.2))
            self._left_seconds = min(self._left_seconds * 2, _LEFT_SECONDS[1])
            self._failures = _FAILURES_IN_A_ROW - 1  # on trial: the next failure counts as the fifth
        while not await self.answers():  # noqa: ASYNC110  it is another process that is waited for
            await asyncio.sleep(_RECHECK_SECONDS)
        _log.info("%s is back", self.address)
        self.left = ""
        self._changed()

    async def _follow(self) -> None:
        """Hold a stream on which the instance tells its health; a stream that breaks means that the instance is away."""
        while True:
            self._watch = self._checks.Watch(self._question, wait_for_ready=True)
            try:
                while isinstance(answer := await self._watch.read(), health_pb2.HealthCheckResponse):
                    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
                    self._set(Health.SERVING if serving else Health.NOT_SERVING)
                    if not serving:
                        # A stream that stays open would hold up an instance that is finishing its calls.
                        self._watch.cancel()
                        await self._until_serving()
                        break
                else:
                    self._set(Health.AWAY)
            except aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    # A server that does not tell its health serves as long as the channel is connected.
                    self._set(Health.SERVING)
                    await self._until_disconnected()
                self._set(Health.AWAY)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task and task.cancelling():
                    raise
            finally:
                self._watch.cancel()
                self._watch = None
            await asyncio.sleep(0.02)

    async def _until_serving(self) -> None:
        """Ask now and then until it serves again, or is away."""
        while True:
            await asyncio.sleep(_RECHECK_SECONDS * random.uniform(0.8, 1.2))
            try:
                answer = await self._checks.Check(self._question, timeout=1.0)
            except aio.AioRpcError:
                self._set(Health.AWAY)
                return
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return

    async def _until_disconnected(self) -> None:
        while (state := self.channel.get_state()) in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE):
            await self.channel.wait_for_state_change(state)

    def _set(self, health: Health) -> None:
        if health is not self.health:
            _log.debug("%s: %s", self.address, health.value)
            self.health = health
            self._changed()
