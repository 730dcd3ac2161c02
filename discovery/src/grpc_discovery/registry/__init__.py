"""Advertising and finding, behind one small interface (interface.py).

A registry maps a service's name to its instances, and each instance to an address, `host:port`. An entry lives by a TTL and must be renewed.
What a backend needs is imported only when that backend is chosen (factory.py).
"""

from grpc_discovery.registry.factory import open_registry
from grpc_discovery.registry.interface import Instances, Registry, RegistryUnavailable
from grpc_discovery.registry.memory import MemoryRegistry

__all__ = ["Instances", "MemoryRegistry", "Registry", "RegistryUnavailable", "open_registry"]
