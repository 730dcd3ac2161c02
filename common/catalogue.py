"""What is known of each service without asking anybody: its names, its proto package and its port, and of the two others that are advertised."""

from typing import NamedTuple


class KnownService(NamedTuple):
    """One of the seven."""

    name: str
    """The last part of the proto service name, which is the name in the registry."""
    slug: str
    """The short name: of its package, of its program under supervisord, on the command line."""
    package: str
    """The proto package."""
    port: int
    """Where its first instance listens unless told otherwise."""

    @property
    def full_name(self) -> str:
        """The proto service name."""
        return f"{self.package}.{self.name}"

    @property
    def host(self) -> str:
        """The name it has where containers are called after it, in which an underscore could not stand."""
        return self.slug.replace("_", "-")


SERVICES = {
    known.name: known
    for known in (
        KnownService("CommentsService", "comments", "killrvideo.comments", 8101),
        KnownService("RatingsService", "ratings", "killrvideo.ratings", 8201),
        KnownService("SearchService", "search", "killrvideo.search", 8301),
        KnownService("StatisticsService", "statistics", "killrvideo.statistics", 8401),
        KnownService("SuggestedVideoService", "suggested_videos", "killrvideo.suggested_videos", 8501),
        KnownService("UserManagementService", "user_management", "killrvideo.user_management", 8601),
        KnownService("VideoCatalogService", "video_catalog", "killrvideo.video_catalog", 8701),
    )
}
"""The seven, by their names in the registry."""

CASSANDRA = "cassandra"
"""The name under which the schema step advertises the database."""

WEB = "web"
"""The name under which the web site is advertised."""

SHARED_PORT = 8899
"""The port of a process that hosts several services, as in the article."""

PORTS = {CASSANDRA: 9042, WEB: 3000} | {name: known.port for name, known in SERVICES.items()}
"""The port of each name that may be looked for where a setting gives none."""

REGISTRY_ROOT = "/killrvideo/services"
"""Where the entries lie in etcd."""


def registry_key(service: str, instance: str) -> str:
    """The key of one entry in etcd."""
    return f"{REGISTRY_ROOT}/{service}/{instance}"
