"""Following the list of a service's instances in the registry, through whatever happens to the registry."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path

from common.registry import Registry, RegistryUnavailable

_RETRY_SECONDS = (0.3, 1.0)
_HURRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Finder:
    """Follows one service. The list is only ever replaced by another answer of the registry, and by an empty one not at once."""

    def __init__(
        self,
        service: str,
        registry: "asyncio.Future[Registry]",
        empty_wait: float,
        remembered: Mapping[str, str],
        take: Callable[[dict[str, str]], None],
    ) -> None:
        """`take` gets each new list; `empty_wait` is how many seconds the registry must say 'none' until it is believed."""
        self.service = service
        self.instances = dict(remembered)
        self.confirmed = asyncio.Event()
        """Set when the registry has answered once."""
        self._registry, self._empty_wait, self._take = registry, empty_wait, take
        self._empty_since: float | None = None
        self._looked = 0.0
        self._hurried: asyncio.Task[None] | None = None
        self._following = asyncio.create_task(self._follow(), name=f"find {service}")

    def hurry(self) -> None:
        """Look now, if that was not just done: an instance is not where the list says."""
        if (
            time.monotonic() - self._looked > _HURRY_SECONDS
            and self._registry.done()
            and (self._hurried is None or self._hurried.done())
        ):
            self._looked = time.monotonic()
            self._hurried = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop following."""
        tasks = [task for task in (self._following, self._hurried) if task]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _follow(self) -> None:
        registry = await asyncio.shield(self._registry)
        away = False
        while True:
            try:
                async with aclosing(registry.watch(self.service)) as lists:  # type: ignore[type-var]
                    async for instances in lists:
                        if away:
                            away = False
                            _log.info("the registry is back")
                        self._answer(instances)
            except RegistryUnavailable as error:
                # Whatever comes back may have lost its data, and fills again only then.
                self._empty_since = None
                if not away:
                    away = True
                    _log.warning("%s: the last list is kept: %s", self.service, error)
            except Exception:
                _log.exception("following %s failed", self.service)
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))

    async def _look(self) -> None:
        try:
            self._answer(await self._registry.result().list(self.service))
        except RegistryUnavailable:
            pass  # the watch tells about it

    def _answer(self, instances: dict[str, str]) -> None:
        self._looked = time.monotonic()
        if instances:
            self._empty_since = None
        elif self.instances:
            self._empty_since = self._empty_since or time.monotonic()
            if time.monotonic() - self._empty_since < self._empty_wait:
                return
        if instances != self.instances or not self.confirmed.is_set():
            _log.debug("%s: %s", self.service, instances)
            self.instances = instances
            self._take(instances)
        self.confirmed.set()


class Memory:
    """The last lists in a file, for a caller that starts while the registry is away. Without a path it remembers nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lists: dict[str, dict[str, str]] = {}
        if path and path.exists():
            try:
                self._lists = {
                    str(service): {str(k): str(v) for k, v in known.items()}
                    for service, known in json.loads(path.read_text()).items()
                }
            except (OSError, ValueError, AttributeError) as error:
                _log.warning("%s cannot be read and is written anew: %s", path, error)

    def recall(self, service: str) -> dict[str, str]:
        """The last known instances of a service."""
        return self._lists.get(service, {})

    def keep(self, service: str, instances: dict[str, str]) -> None:
        """Write down the instances of a service."""
        self._lists[service] = instances
        if self._path:
            written = self._path.with_name(f"{self._path.name}.new")
            try:
                written.write_text(json.dumps(self._lists, indent=1))
                written.replace(self._path)
            except OSError as error:
                _log.warning("%s cannot be written: %s", self._path, error)
