"""The seven services as typed stubs, each found through the registry when it is first used."""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import grpc
from grpc import aio

from client.calls import BalancedChannel
from client.finding import Finder, Memory
from client.pool import Pool
from common.registry import Registry, open_registry
from common.registry.names import SERVICES
from common.settings import Settings
from protos import (
    comments_pb2_grpc,
    ratings_pb2_grpc,
    search_pb2_grpc,
    statistics_pb2_grpc,
    suggested_videos_pb2_grpc,
    user_management_pb2_grpc,
    video_catalog_pb2_grpc,
)

if TYPE_CHECKING:  # these classes exist in the type stubs only
    from protos.comments_pb2_grpc import CommentsServiceAsyncStub
    from protos.ratings_pb2_grpc import RatingsServiceAsyncStub
    from protos.search_pb2_grpc import SearchServiceAsyncStub
    from protos.statistics_pb2_grpc import StatisticsServiceAsyncStub
    from protos.suggested_videos_pb2_grpc import SuggestedVideoServiceAsyncStub
    from protos.user_management_pb2_grpc import UserManagementServiceAsyncStub
    from protos.video_catalog_pb2_grpc import VideoCatalogServiceAsyncStub

_STUBS: dict[str, Any] = {
    "CommentsService": comments_pb2_grpc.CommentsServiceStub,
    "RatingsService": ratings_pb2_grpc.RatingsServiceStub,
    "SearchService": search_pb2_grpc.SearchServiceStub,
    "StatisticsService": statistics_pb2_grpc.StatisticsServiceStub,
    "SuggestedVideoService": suggested_videos_pb2_grpc.SuggestedVideoServiceStub,
    "UserManagementService": user_management_pb2_grpc.UserManagementServiceStub,
    "VideoCatalogService": video_catalog_pb2_grpc.VideoCatalogServiceStub,
}

_MOST_MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS = [
    # A page of a thousand entries with long descriptions is more than gRPC's four megabytes.
    ("grpc.max_receive_message_length", _MOST_MESSAGE_BYTES),
    # A connection on which nothing comes back, not even to a ping, is given up after three seconds.
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.http2.ping_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # An instance that returns on its port is seen within a second; by itself gRPC waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_http_proxy", 0),
]


class Services:
    """Callers of the seven services. Use it as a context: `async with Services.from_settings() as services:`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._credentials = _credentials(settings)
        self._metadata = (
            (("authorization", f"Bearer {settings.client_token.get_secret_value()}"),) if settings.client_token else ()
        )
        self._memory = Memory(settings.client_cache)
        self._registry: asyncio.Task[Registry] | None = None
        self._finders: dict[str, Finder] = {}
        self._pools: dict[str, Pool] = {}
        self._stubs: dict[str, Any] = {}

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Self:
        """With the settings of the environment, or those given."""
        return cls(settings or Settings.load())

    async def __aenter__(self) -> Self:
        """Begin to look for the registry; nothing is waited for."""
        self._registry = asyncio.create_task(open_registry(self.settings), name="open the registry")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all channels and the registry."""
        for finder in self._finders.values():
            await finder.close()
        for pool in self._pools.values():
            await pool.close()
        if self._registry:
            self._registry.cancel()
            await asyncio.wait([self._registry])
            if not self._registry.cancelled() and not self._registry.exception():
                await self._registry.result().close()

    @property
    def comments(self) -> "CommentsServiceAsyncStub":
        """CommentsService."""
        return cast("CommentsServiceAsyncStub", self.stub("CommentsService"))

    @property
    def ratings(self) -> "RatingsServiceAsyncStub":
        """RatingsService."""
        return cast("RatingsServiceAsyncStub", self.stub("RatingsService"))

    @property
    def search(self) -> "SearchServiceAsyncStub":
        """SearchService."""
        return cast("SearchServiceAsyncStub", self.stub("SearchService"))

    @property
    def statistics(self) -> "StatisticsServiceAsyncStub":
        """StatisticsService."""
        return cast("StatisticsServiceAsyncStub", self.stub("StatisticsService"))

    @property
    def suggested_videos(self) -> "SuggestedVideoServiceAsyncStub":
        """SuggestedVideoService."""
        return cast("SuggestedVideoServiceAsyncStub", self.stub("SuggestedVideoService"))

    @property
    def user_management(self) -> "UserManagementServiceAsyncStub":
        """UserManagementService."""
        return cast("UserManagementServiceAsyncStub", self.stub("UserManagementService"))

    @property
    def video_catalog(self) -> "VideoCatalogServiceAsyncStub":
        """VideoCatalogService."""
        return cast("VideoCatalogServiceAsyncStub", self.stub("VideoCatalogService"))

    def stub(self, service: str) -> Any:
        """The stub of a service by its name in the registry; from its first use on, its instances are followed."""
        stub = self._stubs.get(service)
        if stub is None:
            channel = BalancedChannel(self.pool(service), self.settings.call_timeout, self._metadata)
            stub = self._stubs[service] = _STUBS[service](channel)
        return stub

    def pool(self, service: str) -> Pool:
        """The instances of a service as they are known at this moment."""
        if service not in self._pools:
            if self._registry is None:
                raise RuntimeError("use it as a context: `async with Services.from_settings() as services:`")

            def take(instances: dict[str, str]) -> None:
                self._pools[service].set(dict.fromkeys(instances.values()))
                self._memory.keep(service, instances)

            known = self._memory.recall(service)
            finder = Finder(service, self._registry, self.settings.client_empty_wait, known, take)
            pool = Pool(
                f"{SERVICES[service].package}.{service}", self.open_channel, finder.hurry, finder.confirmed.is_set
            )
            self._finders[service], self._pools[service] = finder, pool
            pool.set(dict.fromkeys(known.values()))
        return self._pools[service]

    def instances(self, service: str) -> dict[str, str]:
        """The list of a service's instances that is gone by at this moment: name -> address."""
        self.pool(service)
        return self._finders[service].instances

    async def listed(self, service: str) -> dict[str, str]:
        """The same list, once the registry has answered for the first time."""
        self.pool(service)
        await self._finders[service].confirmed.wait()
        return self._finders[service].instances

    def open_channel(self, address: str) -> aio.Channel:
        """A channel to one instance, with the settings of a caller."""
        if self._credentials is None:
            return aio.insecure_channel(address, _OPTIONS)
        name = self.settings.client_server_name
        return aio.secure_channel(
            address, self._credentials, [*_OPTIONS, *([("grpc.ssl_target_name_override", name)] if name else [])]
        )


def _credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    if not (settings.client_ca or settings.client_certificate):
        return None
    return grpc.ssl_channel_credentials(
        settings.client_ca.read_bytes() if settings.client_ca else None,
        settings.client_key.read_bytes() if settings.client_key else None,
        settings.client_certificate.read_bytes() if settings.client_certificate else None,
    )
