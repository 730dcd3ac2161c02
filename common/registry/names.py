"""The names in the registry: where keys lie, and the seven services with their short names and ports."""

from typing import NamedTuple

ROOT = "/killrvideo/services"


class WellKnown(NamedTuple):
    """What is known of a service without asking anybody."""

    slug: str
    package: str
    port: int


SERVICES = {
    "CommentsService": WellKnown("comments", "killrvideo.comments", 8101),
    "RatingsService": WellKnown("ratings", "killrvideo.ratings", 8201),
    "SearchService": WellKnown("search", "killrvideo.search", 8301),
    "StatisticsService": WellKnown("statistics", "killrvideo.statistics", 8401),
    "SuggestedVideoService": WellKnown("suggested_videos", "killrvideo.suggested_videos", 8501),
    "UserManagementService": WellKnown("user_management", "killrvideo.user_management", 8601),
    "VideoCatalogService": WellKnown("video_catalog", "killrvideo.video_catalog", 8701),
}

PORTS = {"cassandra": 9042, "web": 3000} | {name: service.port for name, service in SERVICES.items()}
"""The port of each name that may be looked for where a setting or a DNS record gives none."""


def directory(service: str) -> str:
    """Where the entries of a service lie."""
    return f"{ROOT}/{service}"


def key(service: str, instance: str) -> str:
    """The key of one entry."""
    return f"{ROOT}/{service}/{instance}"
