"""`advertise`: an entry in the registry for a program that knows nothing of it, such as the web site or Cassandra."""

import argparse
import asyncio
import logging
import signal
import sys

from common.registry import open_registry
from common.registry.advertiser import Advertiser
from common.settings import Settings, host_ports


async def keep(settings: Settings, arguments: argparse.Namespace) -> int:
    """Keep the entry until SIGTERM or SIGINT, or while the command runs; then withdraw it. The exit code is the command's."""
    try:
        parts = host_ports(arguments.address, 0)
        if len(parts) != 1 or not all(parts[0]):
            raise ValueError(f"is not host:port: {arguments.address!r}")
    except ValueError as error:
        print(f"the address {error}", file=sys.stderr)
        return 2
    if arguments.command == []:
        print("--while needs a command", file=sys.stderr)
        return 2
    if settings.discovery in ("dns", "static"):
        print(f"KILLRVIDEO_DISCOVERY={settings.discovery} has no registry to keep an entry in", file=sys.stderr)
        return 2
    # On standard error: standard output is the command's.
    logging.basicConfig(level=settings.logging_level.upper(), stream=sys.stderr, format="%(message)s", force=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    stopping = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_command(arguments.command, stop)) if arguments.command else None
    keeping = asyncio.create_task(_entry(settings, arguments))
    ends = [task for task in (stopping, running, keeping) if task]
    await asyncio.wait([stopping, running] if running else [stopping], return_when=asyncio.FIRST_COMPLETED)
    # Withdrawn first, so that nobody is sent to what is just ending.
    keeping.cancel()
    await asyncio.wait([keeping])
    stop.set()
    code = await running if running else 0
    for task in ends:
        task.cancel()
    return code


async def _entry(settings: Settings, arguments: argparse.Namespace) -> None:
    """Hold the entry until cancelled."""
    registry = await open_registry(settings)
    advertiser = Advertiser(
        registry, arguments.service, arguments.instance or arguments.address, arguments.address, settings.ttl
    )
    advertiser.set_serving(True)
    advertiser.start()
    try:
        await asyncio.Event().wait()
    finally:
        await advertiser.withdraw()
        await registry.close()


async def _command(words: list[str], stop: asyncio.Event) -> int:
    """Run the command; when `stop` is set, ask it to end. Returns its exit code as a shell would."""
    try:
        process = await asyncio.create_subprocess_exec(*words)
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 127
    ended = asyncio.create_task(process.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        process.terminate()
    code = await ended
    return 128 - code if code < 0 else code
