"""Following the list of a service's instances in the registry, through whatever happens to the registry."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from grpc_discovery.addresses import parse_dialable, printable
from grpc_discovery.registry.interface import Registry, RegistryUnavailable
from grpc_discovery.tasks import cancel_and_wait, keep_running

_REFRESH_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Resolver:
    """Follows one service. The list is only ever replaced by another answer of the registry, and by an empty one not at once."""

    def __init__(
        self,
        name: str,
        registry: Callable[[], Awaitable[Registry]],
        empty_wait: float,
        remembered: Mapping[str, str],
        on_update: Callable[[dict[str, str]], None],
    ) -> None:
        """`registry` returns the open registry, and waits until it is open. `on_update` gets each new list, instance -> `host:port`.

        `empty_wait` is how many seconds the registry must say 'none' until it is believed.
        """
        self.name = name
        self.is_resolved = asyncio.Event()
        """Set when the registry has answered once."""
        self._refused: dict[str, str] = {}
        self.instances = self._dialable(remembered)
        self._registry, self._empty_wait, self._on_update = registry, empty_wait, on_update
        self._empty_since: float | None = None
        self._asked_at = 0.0
        self._away = False
        self._refreshing: asyncio.Task[None] | None = None
        self._following = asyncio.create_task(keep_running(f"following {name}", self._follow), name=f"follow {name}")

    def refresh_soon(self) -> None:
        """Ask the registry now, if that was not just done: an instance is not where the list says."""
        if time.monotonic() - self._asked_at > _REFRESH_SECONDS and (
            self._refreshing is None or self._refreshing.done()
        ):
            self._asked_at = time.monotonic()
            self._refreshing = asyncio.create_task(self._refresh(), name=f"look up {self.name}")

    async def close(self) -> None:
        """Stop following."""
        await cancel_and_wait([self._following, self._refreshing])

    async def _follow(self) -> None:
        registry = await self._registry()
        try:
            async with aclosing(registry.watch(self.name)) as lists:  # type: ignore[type-var]  # every watch is a generator
                async for instances in lists:
                    if self._away:
                        self._away = False
                        _log.info("%s: the registry is back", self.name)
                    self._take(instances)
        except RegistryUnavailable as error:
            # Whatever comes back may have lost its data, and fills again only then.
            self._empty_since = None
            if not self._away:
                self._away = True
                _log.warning("%s: the last list is kept: %s", self.name, error)

    async def _refresh(self) -> None:
        if not self.is_resolved.is_set():
            return  # the watch is about to tell
        try:
            self._take(await (await self._registry()).list(self.name))
        except RegistryUnavailable:
            pass  # the watch tells of it
        except Exception:
            _log.exception("looking up %s failed", self.name)

    def _take(self, listed: Mapping[str, str]) -> None:
        self._asked_at = time.monotonic()
        instances = self._dialable(listed)
        if instances:
            self._empty_since = None
        elif self.instances:
            self._empty_since = self._empty_since or time.monotonic()
            if time.monotonic() - self._empty_since < self._empty_wait:
                return
        if instances != self.instances or not self.is_resolved.is_set():
            _log.debug("%s: %s", self.name, instances)
            self.instances = instances
            self._on_update(instances)
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
