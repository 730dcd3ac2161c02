"""Calls over the wire, as an existing client makes them: plain stubs, plain messages, nothing of ours in between."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from common.catalogue import SERVICES
from protos.common_pb2 import TimeUuid, Uuid

STUBS: dict[str, tuple[Any, Any]] = {
    name: (
        getattr(import_module(known.grpc_module), known.stub),
        import_module(known.messages_module),
    )
    for name, known in SERVICES.items()
}
METHODS = {
    name.removesuffix("Request"): (service, module)
    for service, (_, module) in STUBS.items()
    for name in module.DESCRIPTOR.message_types_by_name
    if name.endswith("Request")
}


# Channels to one address share a connection, and with it the pause after a refused one, unless told otherwise.
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


class Wire:
    """Makes calls by name: `wire.GetVideo(video_id=u(some_id))`. `addresses` maps a service's name to host:port."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.channels = {service: grpc.insecure_channel(address, OPTIONS) for service, address in addresses.items()}

    def __getattr__(self, method: str) -> Callable[..., Any]:
        service, module = METHODS[method]
        stub = STUBS[service][0](self.channels[service])

        def call(*, timeout: float = 15, **fields: Any) -> Any:
            return getattr(stub, method)(getattr(module, f"{method}Request")(**fields), timeout=timeout)

        return call

    def close(self) -> None:
        """Close the channels."""
        for channel in self.channels.values():
            channel.close()


def u(value: object) -> Uuid:
    """A Uuid message."""
    return Uuid(value=str(value))


def t(value: object) -> TimeUuid:
    """A TimeUuid message."""
    return TimeUuid(value=str(value))


def new_id() -> str:
    """A new random id, as text."""
    return str(uuid.uuid4())


def new_word() -> str:
    """A word that no other test uses, without a known ending."""
    return "q" + "".join(chr(ord("a") + int(digit, 16)) for digit in uuid.uuid4().hex[:12]) + "x"


@contextmanager
def refused(status: grpc.StatusCode, *fields: str) -> Iterator[dict[str, str]]:
    """The block's call fails with `status`; with INVALID_ARGUMENT its details name exactly `fields`. Yields a dict that gets the message."""
    seen: dict[str, str] = {}
    with pytest.raises(grpc.RpcError) as caught:
        yield seen
    error: Any = caught.value
    assert error.code() == status, f"{error.code()}: {error.details()}"
    seen["message"] = error.details()
    assert "Traceback" not in error.details()
    if status == grpc.StatusCode.INVALID_ARGUMENT:
        bad = error_details_pb2.BadRequest()
        rich = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        assert rich.details[0].Unpack(bad)
        assert {violation.field for violation in bad.field_violations} == set(fields), rich
        assert all(violation.description for violation in bad.field_violations)


def all_pages(call: Callable[..., Any], rows: str, page_size: int, **fields: Any) -> list[Any]:
    """Follow the paging state to the end; every page but the last is full, and no token goes with the last."""
    found: list[Any] = []
    state = ""
    while True:
        answer = call(page_size=page_size, paging_state=state, **fields)
        page = list(getattr(answer, rows))
        found += page
        state = answer.paging_state
        if not state:
            return found
        assert len(page) == page_size, "a page shorter than page_size ends the list"
        assert len(found) <= 5000


def eventually(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first truthy value of `condition`, asked for until `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def submit(
    wire: Wire, name: str, *, tags: tuple[str, ...] = (), description: str = "", user_id: str = "", video_id: str = ""
) -> str:
    """Submit a YouTube video and return its id."""
    video_id = video_id or new_id()
    wire.SubmitYouTubeVideo(
        video_id=u(video_id),
        user_id=u(user_id or new_id()),
        name=name,
        description=description,
        tags=tags,
        you_tube_video_id="dQw4w9WgXcQ",
    )
    return video_id


def create_user(wire: Wire, *, first: str = "Ada", last: str = "Lovelace") -> str:
    """Create a user with a new address and return the id."""
    user_id = new_id()
    wire.CreateUser(
        user_id=u(user_id), first_name=first, last_name=last, email=f"{user_id}@example.org", password="correct horse"
    )
    return user_id
