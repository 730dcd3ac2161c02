"""Following the list of a service's instances in the registry, through whatever happens to the registry; and the last lists in a file."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from pathlib import Path

from grpc_discovery import tallies
from grpc_discovery.addresses import parse_dialable, printable
from grpc_discovery.registry.factory import OpeningRegistry
from grpc_discovery.registry.interface import Registry, RegistryUnavailable
from grpc_discovery.tasks import cancel_and_wait, keep_running

_log = logging.getLogger(__name__)


class InstanceCache:
    """The last lists of all services in a file, if there is a path, for a start while the registry is away."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lists: dict[str, dict[str, str]] = {}
        if path and path.exists():
            try:
                for name, known in json.loads(path.read_text(encoding="utf-8")).items():
                    self._lists[name] = {instance: str(address) for instance, address in known.items()}
            except (OSError, ValueError, AttributeError) as error:
                _log.warning("%s cannot be read and is written again: %s", path, error)

    def recall(self, name: str) -> dict[str, str]:
        """The last known instances of a service: instance -> address, as unchecked as whatever a file holds."""
        return self._lists.get(name, {})

    def keep(self, name: str, instances: dict[str, str]) -> None:
        """Write down the instances of a service. A file that cannot be written is no error."""
        self._lists[name] = instances
        if self._path:
            fresh = self._path.with_name(f"{self._path.name}.new")
            try:
                fresh.write_text(json.dumps(self._lists, indent=1), encoding="utf-8")
                fresh.replace(self._path)
            except OSError as error:
                _log.warning("%s cannot be written: %s", self._path, error)


async def opened(registry: Registry) -> Registry:
    """The registry, as soon as it is open."""
    return await registry.wait_open() if isinstance(registry, OpeningRegistry) else registry


class Resolver:
    """Follows one service. The list is only ever replaced by another answer of the registry, and by an empty one not at once."""

    def __init__(self, name: str, registry: Registry, empty_wait: float, cache: InstanceCache) -> None:
        """`empty_wait` is how many seconds the registry must say 'none' until it is believed."""
        self.name = name
        self.is_resolved = asyncio.Event()
        self.listeners: set[Callable[[Collection[str]], None]] = set()  # they get the addresses of each new list
        self._refused: dict[str, str] = {}
        self.instances = self._dialable(cache.recall(name))
        self._registry, self._empty_wait, self._cache = registry, empty_wait, cache
        self._empty_since: float | None = None
        self._asked_at = 0.0
        self._away = False
        self._told_at = time.monotonic()
        self._refreshing: asyncio.Task[None] | None = None
        self._following = asyncio.create_task(keep_running(f"following {name}", self._follow), name=f"follow {name}")
        tallies.LIVING.add(self)

    @property
    def is_watching(self) -> bool:
        """Whether the registry has answered, and is not away."""
        return self.is_resolved.is_set() and not self._away

    @property
    def age(self) -> float:
        """Seconds since the registry has last told of the service; before it has for the first time, since the beginning."""
        return time.monotonic() - self._told_at

    def refresh_soon(self) -> None:
        """An instance is not where the list says: ask the registry, if that was not done within the last second and the watch has begun."""
        is_idle = self._refreshing is None or self._refreshing.done()
        if is_idle and self.is_resolved.is_set() and time.monotonic() - self._asked_at > 1.0:
            self._refreshing = asyncio.create_task(self._refresh(), name=f"look up {self.name}")

    def explain_empty(self) -> str:
        """For people: why there is no instance."""
        if self.is_resolved.is_set():
            return "none is known"
        problem = self._registry.problem if isinstance(self._registry, OpeningRegistry) else ""
        return f"the registry gives no answer: {problem or 'nothing has come yet'}"

    async def close(self) -> None:
        tallies.LIVING.discard(self)
        await cancel_and_wait([self._following, self._refreshing])

    async def _follow(self) -> None:
        registry = await opened(self._registry)
        try:
            async with aclosing(registry.watch(self.name)) as lists:
                async for instances in lists:
                    if self._away:
                        _log.info("%s: the registry is back", self.name)
                    self._away = False
                    self._take(instances)
        except RegistryUnavailable as error:
            # Whatever comes back may have lost its data, and fills again only then.
            self._empty_since = None
            if not self._away:
                _log.warning("%s: the last list is kept: %s", self.name, error)
            self._away = True

    async def _refresh(self) -> None:
        self._asked_at = time.monotonic()
        try:
            self._take(await self._registry.list(self.name))
        except RegistryUnavailable:
            pass  # the watch tells of it
        except Exception:
            _log.exception("looking up %s failed", self.name)

    def _take(self, listed: Mapping[str, str]) -> None:
        self._asked_at = self._told_at = now = time.monotonic()
        instances = self._dialable(listed)
        if instances:
            self._empty_since = None
        elif self.instances:
            self._empty_since = self._empty_since or now
            if now - self._empty_since < self._empty_wait:
                return
        if instances != self.instances or not self.is_resolved.is_set():
            _log.debug("%s: %s", self.name, instances)
            self.instances = instances
            self._cache.keep(self.name, instances)
            for listener in self.listeners:
                listener(instances.values())
        self.is_resolved.set()

    def _dialable(self, listed: Mapping[str, str]) -> dict[str, str]:
        """The entries whose address can be dialled; of each other one the log tells once, and nobody calls it."""
        instances, refused = {}, {}
        for instance, text in listed.items():
            try:
                instances[instance] = str(parse_dialable(text))
            except ValueError as error:
                refused[instance] = text
                if self._refused.get(instance) != text:
                    _log.warning("%s: the entry %s is left out: its address %s", self.name, printable(instance), error)
        self._refused = refused
        return instances
