"""Choosing the registry that the settings ask for."""

from common.registry.etcd_v2 import EtcdV2
from common.registry.interface import Registry
from common.settings import Settings


async def open_registry(settings: Settings) -> Registry:
    """The registry of the settings. `auto` waits, without end, until etcd can be asked which API it offers."""
    return EtcdV2(settings)
