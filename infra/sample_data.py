"""Our own small set of sample data, loaded at the first start of a machine."""

import asyncio
import os
from typing import NamedTuple

from common.database import DatabaseError, Select, connect, explained
from grpc_discovery import ServiceError
from grpc_discovery.addresses import Address
from infra.errors import InfraError
from infra.layout import DATA, PYTHON, ROOT
from infra.machine import service_environment
from infra.progress import say
from infra.settings import InfraSettings


class FirstVideo(NamedTuple):
    """Any row of `videos`."""

    videoid: object


ANY_VIDEO = Select("SELECT videoid FROM videos LIMIT 1", FirstVideo)


async def load_sample_data(settings: InfraSettings) -> None:
    """Load our own small set if there is no video, or if an earlier load was interrupted."""
    unfinished = DATA / "sample-data-begun"
    if not unfinished.exists() and await _has_videos(settings):
        return
    unfinished.touch()
    say("loading the sample data")
    environment = {**os.environ, **service_environment(settings)}
    # Its own session: Ctrl-C reaches us alone. It prints to our terminal, so no log of its own.
    command = ["setpriv", "--pdeathsig", "KILL", str(PYTHON), "-m", "sampledata"]
    child = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        code = await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
    if code:
        say(f"the sample data was not loaded completely (exit code {code}); the next `make run` tries again")
    else:
        unfinished.unlink()


async def _has_videos(settings: InfraSettings) -> bool:
    contact_points = [Address("127.0.0.1", settings.cassandra.port)]
    try:
        ours = settings.replace(cassandra_driver="cassandra-driver")  # the tools' driver
        database = await connect(ours.cassandra, contact_points, settings.cassandra.keyspace)
        try:
            await database.prepare([ANY_VIDEO])
            return await database.select_one(ANY_VIDEO) is not None
        finally:
            await database.close()
    except (ServiceError, DatabaseError) as error:
        raise InfraError(f"Cassandra could not be asked for videos: {explained(error, contact_points)}") from error
