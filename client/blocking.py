"""The same for programs without asyncio: `with BlockingServices.from_settings() as services: services.comments.GetVideoComments(request)`."""

from types import TracebackType
from typing import Any, Self

from client.services import STUBS
from common.catalogue import SERVICES
from common.settings import Settings
from grpc_discovery import BlockingDiscovery

_BY_SLUG = {known.slug: known for known in SERVICES.values()}


class BlockingServices:
    """Services with calls that wait for their answer. Many threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._discovery = BlockingDiscovery(settings)
        self._stubs: dict[str, Any] = {}

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Self:
        """With the settings of the environment, or those given."""
        return cls(settings or Settings.load())

    def __enter__(self) -> Self:
        """Begin to look for the registry; nothing is waited for."""
        self._discovery.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all channels and the registry."""
        self._discovery.__exit__(kind, error, trace)

    def __getattr__(self, slug: str) -> Any:
        """comments, ratings, search, statistics, suggested_videos, user_management, video_catalog: the stub of each."""
        known = _BY_SLUG.get(slug)
        if known is None:
            raise AttributeError(f"there is no service called {slug}")
        if slug not in self._stubs:
            self._stubs[slug] = STUBS[known.name](self._discovery.channel(known.full_name))
        return self._stubs[slug]
