"""What is measured and traced, by the settings and by what is installed."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from grpc_discovery.environment import SettingsError
from grpc_discovery.settings import METRICS_PORT_OFFSET, Settings
from grpc_discovery.telemetry.calls import CallerMethod, ServerCalls, Tracing

_EXTRA = "needs what `pip install grpc-discovery[telemetry]` brings"
_log = logging.getLogger(__name__)


def server_calls(settings: Settings, name: str, instance: str, told_key: str) -> ServerCalls | None:
    """What stands around the handlers of an instance; None where nothing is wanted. Raises SettingsError where the extra is missing.

    `told_key` is the metadata by which callers ask what their call did.
    """
    times = _times(settings, "SERVER_CALLS")
    told_key = told_key if settings.tells_callers else ""
    ratio = settings.telemetry.trace_ratio
    otlp = _otlp()
    export = otlp and otlp.span_export(name, instance)
    tracing = Tracing(ratio, export, told_key, instance) if ratio or told_key else None
    return ServerCalls(times, tracing) if times or tracing else None


def caller_methods(settings: Settings) -> Callable[[str], CallerMethod]:
    """What tells of the calls of `/package.Service/Method`. Raises SettingsError where the extra is missing."""
    otlp, times = _otlp(), _times(settings, "CLIENT_CALLS")
    tracing = Tracing(settings.telemetry.trace_ratio, otlp and otlp.span_export("", ""))
    return lambda path: CallerMethod(path, times, tracing)


@asynccontextmanager
async def served(settings: Settings, listen_port: int) -> AsyncIterator[Any]:
    """/metrics and /summary, until the block is left. Yields the Endpoint, or None where there is none. Raises PortTaken."""
    port, given = settings.telemetry.metrics_port, settings.telemetry.metrics_port is not None
    port = listen_port + METRICS_PORT_OFFSET if port is None else port
    if _times(settings, "SERVER_CALLS") is None or (port > 65_535 and not given):
        yield None
        return
    from grpc_discovery.addresses import Address
    from grpc_discovery.serving.http import serve_http
    from grpc_discovery.telemetry.endpoint import Endpoint

    where = Address(settings.telemetry.metrics_host, port)
    advice = f"{settings.variable('METRICS_PORT')} chooses another, 0 none"
    async with serve_http(endpoint := Endpoint(f"http://{where}/metrics"), where.host, where.port, advice):
        yield endpoint


def _times(settings: Settings, histogram: str) -> Callable[[str], Any] | None:
    if not settings.telemetry.is_measured:
        return None
    try:
        from grpc_discovery.telemetry import metrics
    except ModuleNotFoundError as error:
        if settings.telemetry.metrics_port is None:
            return None
        raise SettingsError(f"{settings.variable('METRICS_PORT')} {_EXTRA} ({error.name} is missing)") from error
    return lambda method: metrics.MethodTimes(getattr(metrics, histogram), method)


def metrics_sender(settings: Settings, name: str, instance: str) -> Callable[[], Any] | None:
    """The work of sending metrics to a collector; None where no address is set, or nothing is measured."""
    otlp = _otlp() if settings.telemetry.is_measured else None
    return otlp and partial(otlp.send_metrics, name, instance)


@cache
def _otlp() -> Any:
    """What sends to a collector, where one's address is set when it is asked for first."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    try:
        from grpc_discovery.telemetry import otlp
    except ModuleNotFoundError as error:
        _log.warning("OTEL_EXPORTER_OTLP_ENDPOINT %s (%s is missing)", _EXTRA, error.name)
        return None
    return otlp
