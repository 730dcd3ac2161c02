"""Server reflection, by which tools list services and make calls without their .proto files: as v1alpha and as v1."""

import logging
from collections.abc import Iterable

import grpc
from grpc import aio
from grpc_health.v1 import health

_V1 = "grpc.reflection.v1.ServerReflection"

_log = logging.getLogger(__name__)


def add_reflection(services: Iterable[str], server: aio.Server) -> None:
    """Offer reflection of these services (full names), and of health, on a server that is not started yet.

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
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_V1, handlers)])
