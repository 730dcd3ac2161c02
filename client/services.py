"""The seven services as typed stubs, each found through the registry when it is first used."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from grpc import aio

from common.catalogue import SERVICES
from common.settings import Settings
from grpc_discovery import Discovery
from grpc_discovery.balancing.pool import Pool
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

STUBS: dict[str, Any] = {
    "CommentsService": comments_pb2_grpc.CommentsServiceStub,
    "RatingsService": ratings_pb2_grpc.RatingsServiceStub,
    "SearchService": search_pb2_grpc.SearchServiceStub,
    "StatisticsService": statistics_pb2_grpc.StatisticsServiceStub,
    "SuggestedVideoService": suggested_videos_pb2_grpc.SuggestedVideoServiceStub,
    "UserManagementService": user_management_pb2_grpc.UserManagementServiceStub,
    "VideoCatalogService": video_catalog_pb2_grpc.VideoCatalogServiceStub,
}
"""The stub of each service, by its name in the registry."""


class Services:
    """Callers of the seven services. Use it as a context: `async with Services.from_settings() as services:`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._discovery = Discovery(settings)
        self._stubs: dict[str, Any] = {}

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Self:
        """With the settings of the environment, or those given."""
        return cls(settings or Settings.load())

    async def __aenter__(self) -> Self:
        """Begin to look for the registry; nothing is waited for."""
        await self._discovery.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all channels and the registry."""
        await self._discovery.__aexit__(kind, error, trace)

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
            stub = self._stubs[service] = STUBS[service](self._discovery.channel(SERVICES[service].full_name))
        return stub

    def pool(self, service: str) -> Pool:
        """The instances of a service as they are known at this moment."""
        return self._discovery.pool(SERVICES[service].full_name)

    def instances(self, service: str) -> dict[str, str]:
        """The list of a service's instances that is gone by at this moment: name -> address."""
        return self._discovery.instances(SERVICES[service].full_name)

    async def listed(self, service: str) -> dict[str, str]:
        """The same list, once the registry has answered for the first time."""
        return await self._discovery.listed(SERVICES[service].full_name)

    def open_channel(self, address: str) -> aio.Channel:
        """A channel to one instance, with the settings of a caller."""
        return self._discovery.open_channel(address)
