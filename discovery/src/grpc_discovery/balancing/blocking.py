"""The same for programs without asyncio: `with BlockingServices.from_settings() as services: services.comments.GetVideoComments(request)`."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from client.services import Services
from common.settings import Settings


class BlockingServices:
    """Services with calls that wait for their answer. Many threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._services = Services(settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="client", daemon=True)

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Self:
        """With the settings of the environment, or those given."""
        return cls(settings or Settings.load())

    def __enter__(self) -> Self:
        """Start the thread in which the calls are made."""
        self._thread.start()
        self._run(self._services.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all channels and end the thread."""
        self._run(lambda: self._services.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __getattr__(self, service: str) -> "_BlockingStub":
        """comments, ratings, search, statistics, suggested_videos, user_management, video_catalog."""
        if service.startswith("_") or not isinstance(getattr(Services, service, None), property):
            raise AttributeError(f"there is no service called {service}")
        return _BlockingStub(self._run, lambda: getattr(self._services, service))

    def _run(self, work: Callable[[], Any]) -> Any:
        async def inside() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result()


class _BlockingStub:
    def __init__(self, run: Callable[[Callable[[], Any]], Any], stub: Callable[[], Any]) -> None:
        self._run, self._stub = run, stub

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda request, **options: self._run(lambda: getattr(self._stub(), method)(request, **options))
