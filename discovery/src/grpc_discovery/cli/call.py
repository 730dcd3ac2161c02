"""`call`: one call, with JSON in and out."""

import argparse
import json
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from client.services import Services
from common.registry.names import SERVICES
from common.settings import Settings
from protos import (
    comments_pb2,
    ratings_pb2,
    search_pb2,
    statistics_pb2,
    suggested_videos_pb2,
    user_management_pb2,
    video_catalog_pb2,
)

_FILES = (
    comments_pb2,
    ratings_pb2,
    search_pb2,
    statistics_pb2,
    suggested_videos_pb2,
    user_management_pb2,
    video_catalog_pb2,
)


async def make(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the answer as JSON, or say on standard error why there is none: exit code 2 for a wrong request, 1 for a failed call."""
    methods = _methods(arguments.service)
    method = methods.get(arguments.method)
    if method is None:
        print(f"{arguments.service} has no call {arguments.method}. It has: {', '.join(methods)}", file=sys.stderr)
        return 2
    text = sys.stdin.read() if arguments.request == "-" else arguments.request
    try:
        request = _request(method.input_type, text)
    except ValueError as error:
        fields = ", ".join(field.name for field in method.input_type.fields)
        print(f"not a {method.input_type.name}: {error}. Its fields: {fields}", file=sys.stderr)
        return 2
    async with Services.from_settings(settings) as services:
        try:
            answer = await getattr(services.stub(arguments.service), arguments.method)(
                request, timeout=arguments.timeout
            )
        except aio.AioRpcError as error:
            _explain(error)
            return 1
    print(
        json_format.MessageToJson(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    )
    return 0


def _request(kind: Descriptor, text: str) -> Message:
    """The message that `text` holds as JSON; raises ValueError with what is wrong with it."""
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError(f"{text} is not a JSON object")
    try:
        return json_format.ParseDict(fields, GetMessageClass(kind)())
    except json_format.ParseError as error:
        # Its further lines list the fields by names that are not ours.
        raise ValueError(str(error).partition("\n")[0].rstrip(".")) from error


def _methods(service: str) -> dict[str, MethodDescriptor]:
    """The calls of a service by name."""
    slug = SERVICES[service].slug
    file = next(file for file in _FILES if file.DESCRIPTOR.name.endswith(f"/{slug}.proto"))
    return dict(file.DESCRIPTOR.services_by_name[service].methods_by_name)


def _explain(error: aio.AioRpcError) -> None:
    """The status, its message, and each field that the service objects to."""
    print(f"{error.code().name}: {error.details()}", file=sys.stderr)
    if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
        return
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is asked for
    for detail in status.details if status else ():
        refused = error_details_pb2.BadRequest()
        if detail.Unpack(refused):
            for violation in refused.field_violations:
                print(f"  {violation.field}: {violation.description}", file=sys.stderr)
