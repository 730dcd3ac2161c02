# Written by `make generate` from common/catalogue.py; edit that.
"""The stub of each service as a property, so that editors and type checkers know its calls."""

from typing import TYPE_CHECKING, Any, cast

from client.lazy_stubs import LazyStubs
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


class AsyncStubs(LazyStubs):
    """Stubs whose calls are awaited."""

    @property
    def comments(self) -> "CommentsServiceAsyncStub":
        """Comments that users leave on videos."""
        return cast("CommentsServiceAsyncStub", self.stub("CommentsService"))

    @property
    def ratings(self) -> "RatingsServiceAsyncStub":
        """The ratings of videos: one for each user and video, and their totals."""
        return cast("RatingsServiceAsyncStub", self.stub("RatingsService"))

    @property
    def search(self) -> "SearchServiceAsyncStub":
        """Finding videos by words, and suggesting words while one types."""
        return cast("SearchServiceAsyncStub", self.stub("SearchService"))

    @property
    def statistics(self) -> "StatisticsServiceAsyncStub":
        """How often videos are played."""
        return cast("StatisticsServiceAsyncStub", self.stub("StatisticsService"))

    @property
    def suggested_videos(self) -> "SuggestedVideoServiceAsyncStub":
        """Videos like another one, and videos for a person."""
        return cast("SuggestedVideoServiceAsyncStub", self.stub("SuggestedVideoService"))

    @property
    def user_management(self) -> "UserManagementServiceAsyncStub":
        """Who uses the site: creating users, checking their passwords, and their names."""
        return cast("UserManagementServiceAsyncStub", self.stub("UserManagementService"))

    @property
    def video_catalog(self) -> "VideoCatalogServiceAsyncStub":
        """The videos: submitting them and listing them."""
        return cast("VideoCatalogServiceAsyncStub", self.stub("VideoCatalogService"))


class BlockingStubs(LazyStubs):
    """Stubs whose calls wait for their answer."""

    @property
    def comments(self) -> "comments_pb2_grpc.CommentsServiceStub":
        """Comments that users leave on videos."""
        return cast("comments_pb2_grpc.CommentsServiceStub", self.stub("CommentsService"))

    @property
    def ratings(self) -> "ratings_pb2_grpc.RatingsServiceStub":
        """The ratings of videos: one for each user and video, and their totals."""
        return cast("ratings_pb2_grpc.RatingsServiceStub", self.stub("RatingsService"))

    @property
    def search(self) -> "search_pb2_grpc.SearchServiceStub":
        """Finding videos by words, and suggesting words while one types."""
        return cast("search_pb2_grpc.SearchServiceStub", self.stub("SearchService"))

    @property
    def statistics(self) -> "statistics_pb2_grpc.StatisticsServiceStub":
        """How often videos are played."""
        return cast("statistics_pb2_grpc.StatisticsServiceStub", self.stub("StatisticsService"))

    @property
    def suggested_videos(self) -> "suggested_videos_pb2_grpc.SuggestedVideoServiceStub":
        """Videos like another one, and videos for a person."""
        return cast("suggested_videos_pb2_grpc.SuggestedVideoServiceStub", self.stub("SuggestedVideoService"))

    @property
    def user_management(self) -> "user_management_pb2_grpc.UserManagementServiceStub":
        """Who uses the site: creating users, checking their passwords, and their names."""
        return cast("user_management_pb2_grpc.UserManagementServiceStub", self.stub("UserManagementService"))

    @property
    def video_catalog(self) -> "video_catalog_pb2_grpc.VideoCatalogServiceStub":
        """The videos: submitting them and listing them."""
        return cast("video_catalog_pb2_grpc.VideoCatalogServiceStub", self.stub("VideoCatalogService"))
