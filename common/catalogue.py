"""The one table of the services: names, port and purpose of each. Everything else about a service is derived from these.

supervisord.conf, the compose files, the manifests, the boilerplate of the services and the client's stubs are generated from this table by
`make generate`; the entry point, the health command, the settings and the tests read it.
"""

from typing import NamedTuple


class KnownService(NamedTuple):
    """What is known of a service without asking anybody."""

    name: str
    """The last part of the proto service name, which is the name in the registry."""
    slug: str
    """The short name: of its package, its .proto file, its program under supervisord, and on the command line."""
    port: int
    """Where its first instance listens unless told otherwise. Ends in 01: further instances count up to 99."""
    purpose: str
    """What it is for, as a sentence."""
    command: str = ""
    """A module of its package whose `main` runs instead of serving: `python -m services.<slug> <command>`."""

    @property
    def package(self) -> str:
        """The proto package."""
        return f"killrvideo.{self.slug}"

    @property
    def full_name(self) -> str:
        """The proto service name, under which its health is asked for."""
        return f"{self.package}.{self.name}"

    @property
    def host(self) -> str:
        """The name it has where containers are called after it, in which an underscore could not stand."""
        return self.slug.replace("_", "-")

    @property
    def module(self) -> str:
        """The Python package that serves it."""
        return f"services.{self.slug}"

    @property
    def messages_module(self) -> str:
        """The generated module that holds its messages."""
        return f"protos.{self.slug}_pb2"

    @property
    def grpc_module(self) -> str:
        """The generated module that holds its stub and its registration."""
        return f"{self.messages_module}_grpc"

    @property
    def stub(self) -> str:
        """The class in `grpc_module` that calls it."""
        return f"{self.name}Stub"

    @property
    def register(self) -> str:
        """The function in `grpc_module` that adds its servicer to a server."""
        return f"add_{self.name}Servicer_to_server"


SERVICES = {
    known.name: known
    for known in (
        KnownService("CommentsService", "comments", 8101, "Comments that users leave on videos."),
        KnownService(
            "RatingsService", "ratings", 8201, "The ratings of videos: one for each user and video, and their totals."
        ),
        KnownService("SearchService", "search", 8301, "Finding videos by words, and suggesting words while one types."),
        KnownService("StatisticsService", "statistics", 8401, "How often videos are played."),
        KnownService(
            "SuggestedVideoService",
            "suggested_videos",
            8501,
            "Videos like another one, and videos for a person.",
            "refresh",
        ),
        KnownService(
            "UserManagementService",
            "user_management",
            8601,
            "Who uses the site: creating users, checking their passwords, and their names.",
        ),
        KnownService("VideoCatalogService", "video_catalog", 8701, "The videos: submitting them and listing them."),
    )
}
"""The services, by their names in the registry."""

CASSANDRA = "cassandra"
"""The name under which the schema step advertises the database."""

WEB = "web"
"""The name under which the web site is advertised."""

SHARED_PORT = 8899
"""The port of a process that hosts several services, as in the article."""

PORTS = {CASSANDRA: 9042, WEB: 3000} | {name: known.port for name, known in SERVICES.items()}
"""The port of each name that may be looked for where a setting gives none."""

TRACE_KEY = "killrvideo-trace"
"""The metadata with which callers ask what their call did (`killrvideo-trace: 1`), and under which they are told."""

REGISTRY_ROOT = "/killrvideo/services"
"""Where the entries lie in etcd."""


def registry_key(service: str, instance: str) -> str:
    """The key of one entry in etcd."""
    return f"{REGISTRY_ROOT}/{service}/{instance}"
