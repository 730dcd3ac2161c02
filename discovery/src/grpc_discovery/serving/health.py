"""The health of a process as gRPC's health protocol tells it: for each service, for '' as a whole, and for `liveness`."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

LIVENESS = "liveness"
"""A health name that serves whenever the process answers, for an orchestrator: to restart the process would not bring a database back."""
OVERALL = ""
"""The health name of the process as a whole: it serves if all its services do."""
SINCE_KEY = "serving-since"
"""Trailing metadata of Check: since when (ISO 8601, UTC) the service has the status that is answered."""

_STATUS = {True: health_pb2.HealthCheckResponse.SERVING, False: health_pb2.HealthCheckResponse.NOT_SERVING}


class _Checks(health.aio.HealthServicer):  # type: ignore[misc,name-defined]  # the stubs leave it out
    """Answers health checks, and tells since when the status is what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.since: dict[str, str] = {}

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """The status, and since when it is that."""
        context.set_trailing_metadata(((SINCE_KEY, self.since.get(request.service, "")),))
        return await super().Check(request, context)


class Health:
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
