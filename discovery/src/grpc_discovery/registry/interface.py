"""What every registry offers."""

from collections.abc import AsyncGenerator
from typing import Protocol

Instances = dict[str, str]
"""Instance name -> what it advertised, as it stands in the registry: `host:port` if all is well. Whoever dials it checks it first."""

Names = list[str]
"""Names of services, sorted."""


class RegistryUnavailable(Exception):
    """The registry cannot be reached, does not answer sensibly, or refuses our user. Nothing is known of what it holds."""


class Registry(Protocol):
    """Where instances are advertised and found, by the names that services have in it.

    All calls raise RegistryUnavailable when the registry is away, and ValueError for a name that cannot be one (addresses.py).
    """

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        """Put the entry, to live `ttl` seconds. An entry of the same name, left by a predecessor in this slot, is replaced."""

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        """Let the entry live `ttl` seconds from now, without waking watchers. False: it is gone, or a successor has taken it."""

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        """Remove the entry if it still holds `address`; a successor's stays. A service left without entries leaves nothing behind."""

    async def list(self, service: str) -> Instances:
        """The present entries of a service; empty when there are none."""

    def watch(self, service: str) -> AsyncGenerator[Instances]:
        """The present entries, then the whole list again after each change, and from time to time without one (5 to 60 s).

        It never skips the newest state, may repeat one, and raises RegistryUnavailable when it lost contact: watch again.
        """

    async def names(self) -> Names:
        """The names of all services that have entries, sorted."""

    async def close(self) -> None:
        """Let go of connections and background work."""
