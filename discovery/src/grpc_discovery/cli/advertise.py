"""`advertise`: an entry in the registry for a program that knows nothing of it, such as a web site or a database."""

import asyncio
import logging
import signal
import sys

from grpc_discovery.addresses import check_instance_name, parse_dialable
from grpc_discovery.cli.context import CommandError, Context
from grpc_discovery.logs import TextFormatter
from grpc_discovery.registration import registration
from grpc_discovery.tasks import cancel_and_wait


async def keep(context: Context) -> int:
    """Keep the entry until SIGTERM or SIGINT, or while the command runs; then withdraw it. The exit code is the command's."""
    arguments, settings = context.arguments, context.settings
    checked = "address"
    try:
        address = str(parse_dialable(arguments.address))
        checked = "instance"
        instance = check_instance_name(arguments.instance or address)
    except ValueError as error:
        raise CommandError(f"the {checked} {error}") from None
    if arguments.command == []:
        raise CommandError("--while needs a command")
    if settings.registry.kind in ("dns", "static"):
        chosen = f"{settings.variable('DISCOVERY')}={settings.registry.kind}"
        raise CommandError(f"{chosen} has no registry to keep an entry in")
    _log_to_standard_error()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    stopping = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_command(arguments.command, stop)) if arguments.command else None
    # It opens the registry in the background, and logs for what it waits.
    async with registration(context.full_name(arguments.name), address, settings.replace(instance=instance)):
        await asyncio.wait([task for task in (stopping, running) if task], return_when=asyncio.FIRST_COMPLETED)
    # Withdrawn first, so that nobody is sent to what is just ending.
    stop.set()
    code = await running if running else 0
    await cancel_and_wait([stopping])
    return code


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
    await cancel_and_wait([stopped])
    if not ended.done():
        process.terminate()
    code = await ended
    return 128 - code if code < 0 else code


def _log_to_standard_error() -> None:
    """Standard output is the command's. What is waited for is told at any level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter())
    logger = logging.getLogger("grpc_discovery")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
