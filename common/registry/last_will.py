"""What a process leaves behind that advertised itself in etcd's v2 keys and died without a word.

Its entry goes by the TTL, but etcd keeps the directory, and existing clients fail on an empty one. While the process lives, a shell waits on
a pipe from it (etcd_v2.py). When the pipe breaks, the shell becomes this program: it waits for the entry to expire, removes the
directories that are left empty, and ends.
"""

import asyncio
import os
import time

from common.registry.interface import RegistryUnavailable
from common.settings import PREFIX, Settings

_EVERY_SECONDS = 0.2


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which this program reads the same settings of etcd again."""
    said: dict[str, object] = {
        "etcd": ",".join(f"{host}:{port}" for host, port in settings.etcd_hosts),
        "etcd_username": settings.etcd_username,
        "etcd_password": settings.etcd_password.get_secret_value() if settings.etcd_password else None,
        "etcd_ca": settings.etcd_ca,
        "etcd_certificate": settings.etcd_certificate,
        "etcd_key": settings.etcd_key,
        "ttl": settings.ttl,
    }
    return {**os.environ, **{PREFIX + name.upper(): str(value) for name, value in said.items() if value is not None}}


async def execute(settings: Settings) -> None:
    """Remove empty directories from shortly before the earliest moment at which the entry can expire until after the latest."""
    from common.registry.etcd_v2 import EtcdV2  # it starts this program, and so imports this module

    registry = EtcdV2(settings)
    died = time.monotonic()
    await asyncio.sleep(settings.ttl * 0.6)
    while time.monotonic() < died + settings.ttl + 3:
        try:
            await registry.sweep()
        except RegistryUnavailable:
            pass  # it expires no entries while it is away; another process of ours sweeps when both are back
        await asyncio.sleep(_EVERY_SECONDS)


if __name__ == "__main__":
    asyncio.run(execute(Settings.load()))
