"""What stands between the wire and every handler: admission, the caller's deadline, statuses with details, and a log line.

Handlers stay free of all that: they raise the errors of statuses.py and return, yield or write answers. All four kinds of calls pass here,
those of every package; only health and reflection are left out, which answer whatever the load.
"""

import inspect
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from math import inf
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio

from grpc_discovery import tallies
from grpc_discovery.serving.admission import AdmissionQueue
from grpc_discovery.serving.deadlines import set_time_left
from grpc_discovery.serving.loop_monitor import LoopMonitor
from grpc_discovery.serving.statuses import InvalidArgument, PermissionDenied, ResourceExhausted, ServiceError
from grpc_discovery.serving.told import with_told
from grpc_discovery.settings import Settings
from grpc_discovery.telemetry.calls import ServerCalls
from grpc_discovery.telemetry.spans import current, new_root

Coroutine = Callable[[Any, Any], Awaitable[Any]]
"""A coroutine function that takes a request, or an iterator of requests, and a context."""

_KINDS = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}
_LEFT_OUT = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.", "/grpc.reflection.v1.")
_SHED_LOG_SECONDS = 5.0
# Names of methods come from outside where a handler takes all of them, as in a proxy.
_MAX_CACHED_METHODS = 10_000

_log = logging.getLogger(__name__)


class Interceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Wraps every handler. `domain` is told in google.rpc.ErrorInfo: the one whose `reason`s these are."""

    def __init__(self, settings: Settings, domain: str, observed: ServerCalls | None = None) -> None:
        """`observed` measures and traces the calls; None: neither."""
        self.queue = AdmissionQueue()
        self.under_way = 0
        """Calls that are worked on now; a stream is one call from its begin to its end."""
        self.loop_monitor = LoopMonitor(is_idle=lambda: not self.under_way)
        self._max_calls, self._slow_seconds = settings.serving.max_calls, settings.serving.slow_call
        self._max_request = settings.serving.max_request
        self._domain, self._log_all = domain, settings.logs.level == "debug"
        self.shed_calls = 0
        """Calls refused because of overload."""
        self._wrapped: dict[str, Any] = {}
        self._shed, self._last_shed_log = 0, -inf
        self._observed = observed
        tallies.LIVING.add(self)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of a call, wrapped once for each method."""
        method = details.method
        known = self._wrapped.get(method)
        if known is not None:
            return known
        handler = await continuation(details)
        if handler is None:
            return None
        wrapped = self._wrap(method, handler)
        if len(self._wrapped) < _MAX_CACHED_METHODS:
            self._wrapped[method] = wrapped
        return wrapped

    def _wrap(self, method: str, handler: Any) -> Any:
        is_left_out = method.startswith(_LEFT_OUT)
        if is_left_out and not self.queue.socket_is_closed_to_calls:
            return handler
        handle, streams = coroutine_of(method, handler), handler.request_streaming
        reader = _reader(handler, self._max_request)
        # gRPC reads each message of a stream when the handler asks for it, so what a bad one raises comes up through the handler.
        read = None if streams else reader
        if is_left_out:
            call = self._only_guarded(handle, read)
        else:
            call = self._around(method, handle, read, is_stream=streams or handler.response_streaming)
            call = self._observed.around(method, call) if self._observed else call
        return _KINDS[_kind_of(handler)](call, reader if streams else None, handler.response_serializer)

    def _around(
        self, method: str, handle: Coroutine, read: Callable[[Any], Any] | None, *, is_stream: bool
    ) -> Coroutine:
        queue = self.queue

        async def call(sent: Any, context: Any) -> Any:
            queue.taken += 1
            if self.under_way >= self._max_calls or queue.is_too_long:
                self._count_shed()
                await self._abort(context, ResourceExhausted("This instance has more calls than it can work on."))
            if queue.socket_is_closed_to_calls:
                await self._refuse_by_socket(context)
            self.under_way += 1
            self.loop_monitor.rouse()
            began = time.monotonic()
            try:
                set_time_left(context.time_remaining())
                answer = await handle(sent if read is None else read(sent), context)
            except Exception as error:
                await self._end(method, context, error, (time.monotonic() - began) * 1000)
                raise
            finally:
                self.under_way -= 1
            took = time.monotonic() - began
            # How long a stream lasts is for its two ends to say.
            if took > self._slow_seconds and not is_stream:
                _log.warning("%s was slow: %.0f ms", method, took * 1000)
            elif self._log_all:
                _log.debug("%s took %.1f ms", method, took * 1000)
            return answer

        return call

    def _only_guarded(self, handle: Coroutine, read: Callable[[Any], Any] | None) -> Coroutine:
        """For calls that are left out: they, too, are not taken by the probe's socket where that is closed."""

        async def call(sent: Any, context: Any) -> Any:
            await self._refuse_by_socket(context)
            return await handle(sent if read is None else read(sent), context)

        return call

    async def _end(self, method: str, context: Any, error: Exception, took_ms: float) -> None:
        """End a call that raised `error`: with a status and a log line. Returns where the error itself has ended the call."""
        match error:
            case aio.AbortError():
                # The handler has answered by itself.
                _log.info("%s failed after %.0f ms: %s: %s", method, took_ms, _name(context.code()), context.details())
            case aio.InternalError():
                # The connection is gone, which gRPC deals with: nobody is there to hear of it.
                _log.info("%s ended after %.0f ms: the caller is gone", method, took_ms)
            case ServiceError():
                _log.info("%s failed after %.0f ms: %s: %s", method, took_ms, error.status.name, error.message)
                await self._abort(context, error)
            case _:
                ref = f"{(current() or new_root(False)).trace_id:032x}"
                _log.error("%s failed after %.0f ms: INTERNAL, reference %s", method, took_ms, ref, exc_info=error)
                told = ServiceError(f"Something went wrong here. The reference in the log is {ref}.")
                await self._abort(context, told)

    async def _abort(self, context: Any, error: ServiceError) -> None:
        """End the call with the status of `error` and details that a program can read (google.rpc.BadRequest or ErrorInfo)."""
        detail = AnyMessage()
        if isinstance(error, InvalidArgument):
            violation = error_details_pb2.BadRequest.FieldViolation
            violations = [violation(field=field, description=why) for field, why in error.violations.items()]
            detail.Pack(error_details_pb2.BadRequest(field_violations=violations))
        else:
            detail.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=self._domain))
        status = status_pb2.Status(code=code_pb2.Code.Value(error.status.name), message=error.message, details=[detail])
        others = context.trailing_metadata() or ()
        trailing = with_told((*others, ("grpc-status-details-bin", status.SerializeToString())))
        await context.abort(error.status, error.message, trailing)

    async def _refuse_by_socket(self, context: Any) -> None:
        if context.peer().startswith("unix:"):
            await self._abort(context, PermissionDenied("This socket takes no calls."))

    def _count_shed(self) -> None:
        """Count a shed call, and log one line for many: a process that sheds calls has no time to write of each."""
        self._shed += 1
        self.shed_calls += 1
        if time.monotonic() - self._last_shed_log >= _SHED_LOG_SECONDS:
            text = "more calls than this instance can work on: %d refused since the last such line, %d under way"
            _log.warning(text, self._shed, self.under_way)
            self._shed, self._last_shed_log = 0, time.monotonic()


def check_servicer(servicer: Any, add_to_server: Callable[[Any, Any], None], service_name: str) -> None:
    """Raise TypeError where a handler is a plain function, and ValueError where `add_to_server` registers another service."""
    found = _Found()
    add_to_server(servicer, found)
    if service_name not in found.services:
        raise ValueError(f"{service_name} is not what is added here: that is {', '.join(found.services) or 'nothing'}")
    for method, handler in found.handlers.items():
        coroutine_of(method, handler)


class _Found:
    """Stands in for a server, to see what would be added to it."""

    def __init__(self) -> None:
        self.services: list[str] = []
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        self.services += [handler.service_name() for handler in handlers if hasattr(handler, "service_name")]

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self.handlers |= {f"{service}/{method}": handler for method, handler in handlers.items()}


def coroutine_of(method: str, handler: Any) -> Coroutine:
    """The function of a gRPC method handler, as a coroutine function; one that yields its answers is one that writes them then.

    Raises TypeError for a plain function, which an asyncio server could only run in threads. One that the generated base class has is no
    fault: the call is answered UNIMPLEMENTED.
    """
    function = getattr(handler, _kind_of(handler))
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return function  # type: ignore[no-any-return]
    if inspect.isasyncgenfunction(function):
        if not handler.response_streaming:
            raise TypeError(f"{method} yields answers, but is declared to have one: let it return that")
        return _writing(function)
    if str(getattr(function, "__module__", "")).endswith("_pb2_grpc"):
        return _unimplemented
    advice = "make it an `async def`, or serve it with grpc.server and advertise it with BlockingRegistration"
    raise TypeError(f"{method} is a plain function: {advice}")


def _kind_of(handler: Any) -> str:
    return next(kind for kind in _KINDS if getattr(handler, kind) is not None)


def _writing(handle: Callable[[Any, Any], AsyncGenerator[Any, None]]) -> Coroutine:
    async def write_all(request: Any, context: Any) -> None:
        async with aclosing(handle(request, context)) as answers:
            async for answer in answers:
                await context.write(answer)

    return write_all


async def _unimplemented(_request: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")


def _reader(handler: Any, max_bytes: int) -> Callable[[Any], Any] | None:
    """What makes a message of what was sent, with an error of ours. Read by gRPC, a bad one would be UNKNOWN with an exception's words.

    One of more than `max_bytes` is not read.
    """
    deserializer = handler.request_deserializer

    def read(sent: bytes) -> Any:
        if len(sent) > max_bytes:
            raise InvalidArgument({"request": f"has {len(sent):,} bytes; at most {max_bytes:,} are taken"})
        try:
            return deserializer(sent)
        except DecodeError:
            raise InvalidArgument({"request": "is not the message that this call takes"}) from None

    return deserializer and read


def _name(code: Any) -> str:
    """The name of a status that a handler gave, as a StatusCode or as its number."""
    return next((status.name for status in grpc.StatusCode if code in (status, status.value[0])), str(code))
