"""Every call of every service by its name, made with whatever message, and what came of it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from grpc import aio

from common.catalogue import SERVICES

TIMEOUT_SECONDS = 30.0
"""Far above what any call may take, so that a slow one is measured rather than cut off."""

MAX_SHOWN = 300
"""Characters of a field that are shown of a request that failed."""

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Call(NamedTuple):
    """A call of the contract: which service has it, its path, and its two messages."""

    service: str
    path: str
    request: Descriptor
    response: Descriptor


def _calls() -> dict[str, Call]:
    found = {}
    for name, known in SERVICES.items():
        service = import_module(known.messages_module).DESCRIPTOR.services_by_name[name]
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"
            found[method.name] = Call(name, path, method.input_type, method.output_type)
    return found


CALLS = _calls()


class Sent(NamedTuple):
    """A request, and the name of the call that it is sent with."""

    call: str
    request: Message

    def __repr__(self) -> str:
        """The call, the size of the request, and the beginning of each of its fields: all of it may be megabytes."""
        fields = {field.name: str(value)[:MAX_SHOWN] for field, value in self.request.ListFields()}
        return f"<{self.call} of {self.request.ByteSize()} bytes: {fields}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """The same where hypothesis shows it."""
        printer.text(repr(self))


class Answer(NamedTuple):
    """What came of a request."""

    status: grpc.StatusCode
    details: str
    seconds: float
    message: Any
    """The response; None where the status is not OK."""


class Caller:
    """Makes calls. `addresses` maps each service's name to host:port."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._channels = {address: aio.insecure_channel(address, OPTIONS) for address in set(addresses.values())}
        self._methods: dict[str, Any] = {
            name: self._channels[addresses[call.service]].unary_unary(
                call.path,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(call.response).FromString,
            )
            for name, call in CALLS.items()
        }

    async def send(self, sent: Sent) -> Answer:
        """Make one call."""
        began = time.monotonic()
        try:
            message = await self._methods[sent.call](sent.request, timeout=TIMEOUT_SECONDS)
        except aio.AioRpcError as error:
            return Answer(error.code(), error.details() or "", time.monotonic() - began, None)
        return Answer(grpc.StatusCode.OK, "", time.monotonic() - began, message)

    async def send_all(self, batch: Sequence[Sent]) -> list[Answer]:
        """Make several calls side by side."""
        return await asyncio.gather(*map(self.send, batch))

    async def close(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close(None)


def request_of(call: str, **fields: Any) -> Sent:
    """A request with these fields."""
    return Sent(call, message_factory.GetMessageClass(CALLS[call].request)(**fields))
