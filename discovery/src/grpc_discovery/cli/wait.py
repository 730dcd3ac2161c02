"""`wait`: until every named service has an instance that serves; for scripts and CI."""

import argparse
import asyncio
import sys
import time

from client.endpoint import Health
from client.services import Services
from common.registry.names import SERVICES
from common.settings import Settings


async def until_serving(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit code 0 when all serve, 1 when the time is over; says then which do not."""
    names = arguments.services or list(SERVICES)
    began = time.monotonic()
    async with Services.from_settings(settings) as services:
        try:
            async with asyncio.timeout(arguments.timeout):
                await asyncio.gather(*(_serving(services, name) for name in names))
        except TimeoutError:
            print(f"after {arguments.timeout:g} s there is no instance that serves of", file=sys.stderr)
            for name in names:
                pool = services.pool(name)
                if not any(endpoint.health is Health.SERVING for endpoint in pool.endpoints.values()):
                    print(f"  {name}: {pool.describe()}", file=sys.stderr)
            return 1
    print(
        f"{len(names)} {'service serves' if len(names) == 1 else 'services serve'} after {time.monotonic() - began:.1f} s"
    )
    return 0


async def _serving(services: Services, name: str) -> None:
    pool = services.pool(name)
    while not any(endpoint.health is Health.SERVING for endpoint in pool.endpoints.values()):
        await pool.wait_for_change(1.0)
