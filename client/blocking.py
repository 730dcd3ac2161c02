"""The same for programs without asyncio: `with BlockingServices.from_settings() as services: services.comments.GetVideoComments(request)`."""

from types import TracebackType
from typing import Self

from client.stubs import STUBS, BlockingStubs
from common.settings import Settings
from grpc_discovery import BlockingDiscovery


class BlockingServices(BlockingStubs):
    """Services with calls that wait for their answer. Many threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._discovery = BlockingDiscovery(settings)
        super().__init__(STUBS, self._discovery.channel)

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
