"""The gRPC server of a process: its options, its interceptor, its port, and the address under which that is advertised."""

import errno
import logging
import os
import socket
from pathlib import Path
from typing import Any

from grpc import aio
from grpc_health.v1 import health

from grpc_discovery.addresses import Address, is_loopback, is_unspecified, own_address
from grpc_discovery.environment import SettingsError
from grpc_discovery.serving.handlers import Interceptor
from grpc_discovery.serving.tls import server_credentials
from grpc_discovery.settings import Settings
from grpc_discovery.telemetry.calls import ServerCalls

_OPTIONS = [
    # Without this, gRPC lets a second process share the port in silence, and each gets half the calls.
    ("grpc.so_reuseport", 0),
    # Callers may ping often: that is how they find out about a hung instance (promise 12).
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 200),
    ("grpc.http2.max_ping_strikes", 0),
    # Of a queue of more than a thousand gRPC by itself cancels some without a word; admission.py sheds them, and says so.
    ("grpc.server.max_pending_requests", 5_000),
    ("grpc.server.max_pending_requests_hard_limit", 10_000),
]

_log = logging.getLogger(__name__)


class PortTaken(Exception):
    """The server cannot listen where it should, most often because another process does. Its text is for people."""


def new_server(settings: Settings, domain: str, observed: ServerCalls | None = None) -> tuple[aio.Server, Interceptor]:
    """A server that is not bound yet, and its interceptor, which knows how many calls are under way.

    `domain` is the one of google.rpc.ErrorInfo in its answers; `observed` measures and traces its calls.
    """
    interceptor = Interceptor(settings, domain, observed)
    server = aio.server(interceptors=[interceptor], options=_OPTIONS)
    give_own_queue = server.add_registered_method_handlers  # type: ignore[attr-defined]  # left out of the stubs

    def add_registered_method_handlers(service: str, handlers: Any) -> None:
        """Generated code hands every method over a second time in this way, by which gRPC gives its calls a queue of their own.

        Each queue more makes every call dearer, and the probe of admission.py waits in the common one. Only health gets its own: it is to
        be answered also while the other calls wait. tests/serving/test_server.py holds the server to it.
        """
        if service == health.SERVICE_NAME:
            give_own_queue(service, handlers)

    server.add_registered_method_handlers = add_registered_method_handlers  # type: ignore[attr-defined]
    return server, interceptor


def bind(server: aio.Server, settings: Settings, port: int) -> None:
    """Bind the port on the host of the settings, with TLS where they name a certificate.

    Raises PortTaken, and SettingsError for files of TLS that cannot be used.
    """
    address, tls = Address(settings.listen.host, port), settings.listen.tls
    try:
        credentials = server_credentials(tls) if tls.given else None
    except (OSError, ValueError) as error:
        certificate, key = settings.variable("GRPC_CERTIFICATE"), settings.variable("GRPC_KEY")
        raise SettingsError(f"wrong settings: {certificate} and {key} cannot be used: {error}") from error
    try:
        text = str(address)
        bound = server.add_secure_port(text, credentials) if credentials else server.add_insecure_port(text)
    except RuntimeError:
        bound = 0
    if not bound:
        raise PortTaken(f"port {port} on {address.host} is taken; {settings.variable('LISTEN_PORT')} chooses another")


def refuse_taken_port(settings: Settings, port: int) -> None:
    """Raise PortTaken now rather than after the wait for dependencies; binding for good comes later."""
    host = settings.listen.host
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in found:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    # As gRPC does: `::` takes calls over IPv4, too.
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                probe.bind(address)
    except OSError as error:
        what, variable = f"cannot listen on {host}", settings.variable("LISTEN_HOST")
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            what, variable = f"port {port} on {host} cannot be bound", settings.variable("LISTEN_PORT")
        raise PortTaken(f"{what} ({error.strerror or error}); {variable} chooses another") from error


def advertised_address(settings: Settings, port: int) -> Address:
    """The address to advertise for a server that is bound to `port`: the setting, or where it listens.

    Where it listens on all interfaces it is in a container the machine's own address, elsewhere 127.0.0.1. One that others cannot reach,
    although the server listens to them, is logged. Raises SettingsError for one that nobody can dial.
    """
    bound, host = settings.listen.host, settings.advertise.host
    if host is None:
        host = bound if not is_unspecified(bound) else own_address() if _in_container() else "127.0.0.1"
    address, variable = Address(host, settings.advertise.port or port), settings.variable("SERVICE_HOST")
    if is_unspecified(host):
        raise SettingsError(f"wrong setting {variable}={host!r}: nobody can dial it")
    if is_loopback(host) and not is_loopback(bound):
        _log.warning("the advertised address %s cannot be reached from elsewhere; %s sets another", address, variable)
    return address


def _in_container() -> bool:
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(mark.exists() for mark in marks)
