"""Every service is a property of both clients, and only the services that are used are looked for."""

import asyncio
from typing import Any

import pytest

from client import BlockingServices
from client.stubs import STUBS, AsyncStubs, BlockingStubs
from common.catalogue import SERVICES
from common.settings import Settings
from discovery.tests.balancing.servers import instances
from protos.comments_pb2 import GetVideoCommentsRequest
from tests.client.servers import Instance


@pytest.mark.parametrize("kind", [AsyncStubs, BlockingStubs])
def test_a_stub_is_made_at_its_first_use_and_kept(kind: type[AsyncStubs | BlockingStubs]) -> None:
    opened: list[str] = []

    class Channel:
        """Takes the methods that a stub asks for."""

        def unary_unary(self, *_: Any, **__: Any) -> None: ...

    def channel(full_name: str) -> Channel:
        opened.append(full_name)
        return Channel()

    stubs = kind(STUBS, channel)
    assert not opened
    for known in SERVICES.values():
        stub = getattr(stubs, known.slug)
        assert type(stub).__name__ == known.stub
        assert getattr(stubs, known.slug) is stub
    assert opened == [known.full_name for known in SERVICES.values()]


async def test_a_program_without_asyncio_calls_a_service() -> None:
    async with instances(1, Instance) as [instance]:
        settings = Settings.load(discovery="static", static_services=f"CommentsService={instance.address}")

        def in_a_thread() -> str:
            with BlockingServices.from_settings(settings) as services:
                return services.comments.GetVideoComments(GetVideoCommentsRequest(page_size=1), timeout=10).paging_state

        assert await asyncio.to_thread(in_a_thread) == instance.address
