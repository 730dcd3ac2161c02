"""Stubs that are made when they are first used, so that only the services a program calls are looked for."""

from collections.abc import Callable, Mapping
from typing import Any

from common.catalogue import SERVICES


class LazyStubs:
    """The stubs of the services, by their names in the registry."""

    def __init__(self, classes: Mapping[str, Any], channel: Callable[[str], Any]) -> None:
        """`classes` holds the stub's class of each service; `channel` opens a channel to a service by its full proto name."""
        self._classes = classes
        self._channel = channel
        self._stubs: dict[str, Any] = {}

    def stub(self, service: str) -> Any:
        """The stub of a service by its name in the registry; from its first use on, its instances are followed.

        Raises KeyError for a name that is not in the catalogue.
        """
        stub = self._stubs.get(service)
        if stub is None:
            stub = self._stubs[service] = self._classes[service](self._channel(SERVICES[service].full_name))
        return stub
