"""The gRPC server of a process, and what stands between the wire and every handler: deadlines, statuses, log lines, a limit of calls.

Handlers stay free of all that: they raise errors of common/errors and return answers.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path
from secrets import token_hex
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health

from common.deadlines import set_time_left
from common.errors import InvalidArgument, ResourceExhausted, ServiceError
from common.line import Line
from common.settings import Settings

_DETAILS_KEY = "grpc-status-details-bin"
_DOMAIN = "killrvideo"
_OWN_CALLS = "/killrvideo."  # health and reflection answer whatever the load

_log = logging.getLogger(__name__)

_OPTIONS = [
    # Without this, gRPC lets a second process share the port in silence, and each gets half the calls.
    ("grpc.so_reuseport", 0),
    # Callers may ping often: that is how they find out about a hung instance (promise 12).
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 200),
    ("grpc.http2.max_ping_strikes", 0),
    # Of a line of more than a thousand gRPC by itself cancels some without a word; common/line.py refuses them, and says so.
    ("grpc.server.max_pending_requests", 5_000),
    ("grpc.server.max_pending_requests_hard_limit", 10_000),
]


_TELL_OF_REFUSED_SECONDS = 5.0


class PortTaken(Exception):
    """Another process listens where this one should."""


class Interceptor(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Wraps every handler: limit, deadline, errors to statuses, and a log line for a call that failed or was slow."""

    def __init__(self, settings: Settings) -> None:
        self._most, self._slow = settings.max_calls, settings.slow_call
        self._every_call = settings.logging_level == "debug"
        self._wrapped: dict[str, Any] = {}
        self.line = Line()
        self.under_way = 0
        self._refused, self._told_of_refused = 0, -inf

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of a call, wrapped once for each method."""
        method = details.method
        known = self._wrapped.get(method)
        if known is not None:
            return known
        handler = await continuation(details)
        if handler is None or not method.startswith(_OWN_CALLS):
            return handler
        wrapped = self._wrapped[method] = grpc.unary_unary_rpc_method_handler(
            self._around(method, handler.unary_unary, handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _around(
        self, method: str, handle: Callable[[Any, Any], Awaitable[Message]], read: Callable[[bytes], Message]
    ) -> Callable[[Any, Any], Awaitable[Message]]:
        async def call(sent: bytes, context: Any) -> Message:
            self.line.seen += 1
            if self.under_way >= self._most or self.line.too_long:
                self._count_refused()
                await _abort(context, ResourceExhausted("This instance has more calls than it can work on."))
            self.under_way += 1
            began = time.monotonic()
            try:
                set_time_left(context.time_remaining())
                answer = await handle(_read(read, sent), context)
            except ServiceError as error:
                _log.info(
                    "%s failed after %.0f ms: %s: %s",
                    method,
                    (time.monotonic() - began) * 1000,
                    error.status.name,
                    error.message,
                )
                await _abort(context, error)
                raise
            except Exception:
                reference = token_hex(6)
                _log.exception(
                    "%s failed after %.0f ms: INTERNAL, reference %s",
                    method,
                    (time.monotonic() - began) * 1000,
                    reference,
                )
                await _abort(
                    context, ServiceError(f"Something went wrong here. The reference in the log is {reference}.")
                )
                raise
            finally:
                self.under_way -= 1
            took = time.monotonic() - began
            if took > self._slow:
                _log.warning("%s was slow: %.0f ms", method, took * 1000)
            elif self._every_call:
                _log.debug("%s took %.1f ms", method, took * 1000)
            return answer

        return call

    def _count_refused(self) -> None:
        """Note a refused call: in one line for many, because a process that refuses calls has no time to write of each."""
        self._refused += 1
        if time.monotonic() - self._told_of_refused >= _TELL_OF_REFUSED_SECONDS:
            _log.warning(
                "more calls than this instance can work on: %d refused since the last such line, %d under way",
                self._refused,
                self.under_way,
            )
            self._refused, self._told_of_refused = 0, time.monotonic()


def _read(read: Callable[[bytes], Message], sent: bytes) -> Message:
    """The request in `sent`. Read here and not by gRPC, which would answer UNKNOWN with the words of an exception."""
    try:
        return read(sent)
    except DecodeError:
        raise InvalidArgument({"request": "is not the message that this call takes"}) from None


async def _abort(context: Any, error: ServiceError) -> None:
    """End the call with the status of `error` and details that a program can read (google.rpc.BadRequest or ErrorInfo)."""
    detail = AnyMessage()
    if isinstance(error, InvalidArgument):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
            for field, text in error.violations.items()
        ]
        detail.Pack(error_details_pb2.BadRequest(field_violations=violations))
    else:
        detail.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=_DOMAIN))
    status = status_pb2.Status(code=code_pb2.Code.Value(error.status.name), message=error.message, details=[detail])
    await context.abort(error.status, error.message, ((_DETAILS_KEY, status.SerializeToString()),))


def new_server(settings: Settings) -> tuple[aio.Server, Interceptor]:
    """A server that is not bound yet, and its interceptor, which knows how many calls are under way."""
    interceptor = Interceptor(settings)
    server = aio.server(interceptors=[interceptor], options=_OPTIONS)
    give_own_line = server.add_registered_method_handlers  # type: ignore[attr-defined]  # left out of the stubs

    def add_registered_method_handlers(service: str, handlers: Any) -> None:
        """Generated code hands every method over a second time in this way, by which gRPC lets its calls stand in a line of their own.

        Each line more makes every call dearer. Only health needs one: it is to be answered also while the other calls wait.
        """
        if service == health.SERVICE_NAME:
            give_own_line(service, handlers)

    server.add_registered_method_handlers = add_registered_method_handlers  # type: ignore[attr-defined]
    return server, interceptor


def bind(server: aio.Server, settings: Settings, port: int) -> None:
    """Bind the port, with TLS where the settings name a certificate. Raises PortTaken."""
    address = f"{settings.listen_host}:{port}"
    try:
        if settings.grpc_certificate and settings.grpc_key:
            bound = server.add_secure_port(
                address, _credentials(settings.grpc_certificate, settings.grpc_key, settings.grpc_client_ca)
            )
        else:
            bound = server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if not bound:
        raise PortTaken(f"port {port} on {settings.listen_host} is taken; KILLRVIDEO_LISTEN_PORT chooses another")


def _credentials(certificate: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """The server's certificate, read anew when its files have changed, so that a renewed one needs no restart."""
    paths = [certificate, key, *([client_ca] if client_ca else [])]

    def newest() -> float:
        return max(path.stat().st_mtime for path in paths)

    def configuration() -> grpc.ServerCertificateConfiguration:
        pair = (key.read_bytes(), certificate.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], client_ca.read_bytes() if client_ca else None)

    seen = newest()

    def if_changed() -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC at each handshake; None keeps what is in use."""
        nonlocal seen
        if newest() == seen:
            return None
        seen = newest()
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        if_changed,  # type: ignore[arg-type]  # the stubs do not know that None is allowed
        require_client_authentication=client_ca is not None,
    )
