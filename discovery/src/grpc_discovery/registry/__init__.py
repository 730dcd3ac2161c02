"""Advertising and finding, behind one small interface. What each promise means stands in docs/advertising.md.

A registry maps a service's name to its instances, and each instance to an address, `host:port`. An entry lives by a TTL and must be renewed.
"""

from common.registry.interface import Registry, RegistryUnavailable
from common.registry.opening import open_registry

__all__ = ["Registry", "RegistryUnavailable", "open_registry"]
