"""`call`: one call, with JSON in and out, to any service that describes itself by reflection or whose generated code is in the process."""

import json
import re
import sys
from contextlib import AsyncExitStack
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from grpc_discovery.addresses import parse_dialable, printable
from grpc_discovery.cli import tracing
from grpc_discovery.cli.context import CommandError, Context, nearest
from grpc_discovery.cli.instances import SERVES, open_instances
from grpc_discovery.discovery import Discovery

_SECONDS = 5.0
_METADATA = re.compile(r"(?!grpc-)([a-z0-9_.-]+)(?<!-bin)=([ -~]*)")


async def make(context: Context) -> int:
    """Print the answers as JSON, or say on standard error why there is none: exit code 2 for a wrong request, 1 for a failed call."""
    arguments = context.arguments
    metadata = [_METADATA.fullmatch(text) for text in arguments.metadata]
    if None in metadata:
        wrong = arguments.metadata[metadata.index(None)]
        raise CommandError(f"metadata is key=value in ASCII (keys in lower case, not grpc-... or ...-bin): {wrong!r}")
    async with AsyncExitStack() as stack:
        service, channel = await _connect(context, stack)
        if arguments.method is None:
            _print_methods(service)
            return 0
        if (method := service.methods_by_name.get(arguments.method)) is None:
            there = ", ".join(service.methods_by_name)
            meant = nearest(arguments.method, service.methods_by_name)
            raise CommandError(f"{service.full_name} has no call {arguments.method}. It has: {there}{meant}")
        try:
            await _call(context, channel, method, [found.groups() for found in metadata if found])
        except aio.AioRpcError as error:
            _explain(error, verbose=arguments.verbose)
            return 1
    return 0


async def _connect(context: Context, stack: AsyncExitStack) -> tuple[ServiceDescriptor, aio.Channel]:
    """The service with its methods, and the channel to call them on."""
    from grpc_discovery.cli.reflection import in_process

    arguments, settings = context.arguments, context.settings
    name = context.full_name(arguments.names[0])
    service = in_process(name)
    if arguments.address:
        try:
            address = str(parse_dialable(arguments.address))
        except ValueError as error:
            raise CommandError(f"the address {error}") from None
        channel = await stack.enter_async_context(Discovery(settings).open_channel(address))
        return service or await _describe(context, name, address), channel
    registry = None
    if service is None:
        instances = await stack.enter_async_context(open_instances(context, arguments.timeout or _SECONDS, 1))
        rows = [row for row in await instances.rows() if row.health not in ("none", "no address")]
        if not rows:
            known = [*await instances.registry.names(), *context.short_names.values()]
            raise CommandError(f"there is no instance of {name} in the registry{nearest(name, known)}", 1)
        # Rather one that serves.
        service = await _describe(context, name, max(rows, key=lambda row: row.health in SERVES).address)
        registry = instances.registry
        # Health is asked for by the full name, which is known only now where the registry has short ones.
        of = settings.registry.name_of
        name = service.full_name if of(service.full_name) == of(name) else name
    discovery = await stack.enter_async_context(Discovery(settings, registry=registry))
    return service, discovery.channel(name)


async def _describe(context: Context, name: str, address: str) -> ServiceDescriptor:
    """The service as an instance describes it."""
    from grpc_discovery.cli.reflection import Reflection

    async with Discovery(context.settings).open_channel(address) as channel:
        try:
            return await Reflection(channel, context.arguments.timeout or _SECONDS).service(name)
        except aio.AioRpcError as error:
            told = f"{error.code().name}: {printable(error.details() or '')}"
            raise CommandError(f"{address} does not describe its methods: {told}", 1) from None


async def _call(context: Context, channel: aio.Channel, method: MethodDescriptor, metadata: list[Any]) -> None:
    """Make the call and print what comes."""
    requests = _requests(method, context.arguments.request)
    streams, arguments, caller = method.server_streaming, context.arguments, context.settings.caller
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if streams else 'unary'}"
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer_class = GetMessageClass(method.output_type)
    make_call = getattr(channel, kind)(path, lambda message: message.SerializeToString(), answer_class.FromString)
    timeout = arguments.timeout
    if arguments.address:
        # What the balanced channel does by itself.
        timeout = timeout or (None if streams else caller.timeout)
        metadata += [("authorization", f"Bearer {caller.token.get_secret_value()}")] if caller.token else []
    sent = iter(requests) if method.client_streaming else requests[0]
    async with AsyncExitStack() as stack:
        if arguments.trace:
            metadata.append((context.trace_key, "1"))
            spans = await stack.enter_async_context(tracing.recording())
        call = make_call(sent, timeout=timeout, metadata=tuple(metadata))
        try:
            if streams:
                async for answer in call:
                    _print(answer, method.output_type, indent=None)
            else:
                _print(await call, method.output_type, indent=2)
        finally:
            if arguments.trace:
                trailing = await call.trailing_metadata()
                tracing.show(spans, trailing, context.trace_key, context.settings.prefix)
    if arguments.verbose:
        _print_metadata(await call.trailing_metadata())


def _requests(method: MethodDescriptor, text: str) -> list[Message]:
    """The messages that `text` holds as JSON: one object; for a stream also an array of them, or one on each line."""
    kind = method.input_type
    try:
        text = sys.stdin.read() if text == "-" else text
        try:
            given = json.loads(text)
        except ValueError:
            lines = [line for line in text.splitlines() if line.strip()]
            if not method.client_streaming or len(lines) == 1:
                raise
            given = list(map(json.loads, lines))
        is_several = method.client_streaming and isinstance(given, list)
        return [_request(kind, each) for each in (given if is_several else [given])]
    except (ValueError, RecursionError) as error:
        fields = ", ".join(field.name for field in kind.fields) or "none"
        raise CommandError(f"not a {kind.name}: {printable(str(error))}. Its fields: {fields}") from None


def _request(kind: Descriptor, fields: Any) -> Message:
    """The message that an object stands for; raises ValueError with what is wrong with it."""
    if not isinstance(fields, dict):
        raise ValueError(f"{json.dumps(fields)} is not a JSON object")
    try:
        return json_format.ParseDict(fields, GetMessageClass(kind)(), descriptor_pool=kind.file.pool)
    except json_format.ParseError as error:
        # Its further lines list the fields by names that are not ours.
        raise ValueError(str(error).partition("\n")[0].rstrip(".")) from error


def _print(answer: Message, kind: Descriptor, indent: int | None) -> None:
    try:
        fields = json_format.MessageToDict(answer, True, True, descriptor_pool=kind.file.pool)
    except (TypeError, ValueError, json_format.Error) as error:
        # An Any of a type that nobody has described, or a value that JSON cannot hold.
        raise CommandError(f"the answer cannot be shown as JSON: {printable(str(error))}", 1) from None
    print(json.dumps(fields, indent=indent), flush=True)


def _print_methods(service: ServiceDescriptor) -> None:
    print(service.full_name)
    for method in service.methods:
        takes, gives = ("stream " if streams else "" for streams in (method.client_streaming, method.server_streaming))
        fields = ", ".join(field.name for field in method.input_type.fields)
        print(f"  {method.name} ({takes}{method.input_type.name}: {fields}) returns {gives}{method.output_type.name}")


def _print_metadata(metadata: Any) -> None:
    for key, value in metadata or ():
        print(printable(f"{key}: {value}"), file=sys.stderr)


def _explain(error: aio.AioRpcError, *, verbose: bool) -> None:
    """The status and its message, the reason, and each field that the service objects to."""
    lines = [f"{error.code().name}: {error.details()}"]
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is asked for
    except ValueError:
        # Details that contradict the status say nothing to rely on.
        status = None
    for detail in status.details if status else ():
        info, refused = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            lines.append(f"  reason: {info.reason} ({info.domain})")
        elif detail.Unpack(refused):
            lines += [f"  {violation.field}: {violation.description}" for violation in refused.field_violations]
    print("\n".join(map(printable, lines)), file=sys.stderr)
    if verbose:
        _print_metadata(error.trailing_metadata())
