"""The health of a process as gRPC's health protocol tells it: for each service, for '' as a whole, and for `liveness`; and server reflection."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

LIVENESS = "liveness"
"""A health name that serves whenever the process answers, for an orchestrator: to restart the process would not bring a database back."""
OVERALL = ""
"""The health name of the process as a whole: it serves if all its services do."""
SINCE_KEY = "serving-since"
"""Trailing metadata of Check: since when (ISO 8601, UTC) the service has the status that is answered."""

_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
_STATUS = {True: health_pb2.HealthCheckResponse.SERVING, False: health_pb2.HealthCheckResponse.NOT_SERVING}

_log = logging.getLogger(__name__)


class _Checks(health.aio.HealthServicer):  # type: ignore[misc,name-defined]  # the stubs leave it out
    """Answers health checks, and tells since when the status is what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.since: dict[str, str] = {}

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """The status, and since when it is that."""
        context.set_trailing_metadata(((SINCE_KEY, self.since.get(request.service, "")),))
        return await super().Check(request, context)


class ProcessHealth:
    """The health of this process. At the begin no service serves."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = _Checks()
        self._serving = dict.fromkeys(services, False)
        self._told: dict[str, bool] = {}

    async def add_to(self, server: aio.Server) -> None:
        """Offer the health service on a server that is not started yet."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        await self._tell()

    def is_serving(self, service: str = OVERALL) -> bool:
        """Whether a service, or the process as a whole, serves."""
        return all(self._serving.values()) if service == OVERALL else self._serving[service]

    async def set(self, service: str, serving: bool) -> None:
        """Set one service to SERVING or NOT_SERVING, and the whole with it."""
        self._serving[service] = serving
        await self._tell()

    async def set_all(self, serving: bool) -> None:
        """Set every service to SERVING or NOT_SERVING."""
        self._serving = dict.fromkeys(self._serving, serving)
        await self._tell()

    async def _tell(self) -> None:
        """Put what has changed where checks and watches see it."""
        for name, serving in {**self._serving, OVERALL: self.is_serving(), LIVENESS: True}.items():
            if self._told.get(name) != serving:
                self._told[name] = serving
                self._servicer.since[name] = datetime.now(UTC).isoformat(timespec="seconds")
                await self._servicer.set(name, _STATUS[serving])


def add_reflection(services: Iterable[str], server: aio.Server) -> None:
    """Offer reflection of these services (full names), and of health, as v1alpha and v1, on a server that is not started yet.

    Where the package for it is not installed, it is left out, which is logged.
    """
    try:
        from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
    except ImportError:
        _log.info("server reflection is left out: pip install grpc-discovery[reflection] brings it")
        return
    servicer = reflection.aio.ReflectionServicer(  # type: ignore[attr-defined]  # left out of the stubs
        [*services, health.SERVICE_NAME, reflection.SERVICE_NAME]
    )
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    # v1 is v1alpha under another name: the messages are alike on the wire. The package knows the older one alone.
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": method}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_REFLECTION_V1, handlers)])
