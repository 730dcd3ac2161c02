"""The services' calls that loading needs, found where everybody finds them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from grpc import aio

from common.registry import Registry, RegistryUnavailable, open_registry
from common.settings import Settings
from protos.comments_pb2_grpc import CommentsServiceStub
from protos.ratings_pb2_grpc import RatingsServiceStub
from protos.statistics_pb2_grpc import StatisticsServiceStub
from protos.user_management_pb2_grpc import UserManagementServiceStub
from protos.video_catalog_pb2_grpc import VideoCatalogServiceStub


class ServicesAway(Exception):
    """The services cannot be found, or do not answer. Nothing is lost: the same load run again goes on."""


@dataclass(frozen=True)
class Calls:
    """A stub of each service that is written to."""

    users: Any
    videos: Any
    ratings: Any
    comments: Any
    statistics: Any


@asynccontextmanager
async def open_calls(settings: Settings, wait: float) -> AsyncIterator[Calls]:
    """Stubs of the services as the registry tells of them. Raises ServicesAway when one has no instance after `wait` seconds."""
    async with AsyncExitStack() as life:
        registry = await open_registry(settings)
        life.push_async_callback(registry.close)

        async def channel(service: str) -> aio.Channel:
            try:
                async with asyncio.timeout(wait):
                    address = await _address(registry, service)
            except TimeoutError:
                raise ServicesAway(f"no {service} is advertised") from None
            return await life.enter_async_context(aio.insecure_channel(address))

        yield Calls(
            users=UserManagementServiceStub(await channel("UserManagementService")),
            videos=VideoCatalogServiceStub(await channel("VideoCatalogService")),
            ratings=RatingsServiceStub(await channel("RatingsService")),
            comments=CommentsServiceStub(await channel("CommentsService")),
            statistics=StatisticsServiceStub(await channel("StatisticsService")),
        )


async def _address(registry: Registry, service: str) -> str:
    while True:
        try:
            async with aclosing(registry.watch(service)) as lists:  # type: ignore[type-var]
                async for instances in lists:
                    if instances:
                        return next(iter(instances.values()))
        except RegistryUnavailable:
            await asyncio.sleep(1)
