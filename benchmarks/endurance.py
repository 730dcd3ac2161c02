"""A million statements through the database interface, and the memory in use meanwhile: `python -m benchmarks.endurance [DRIVER]`.

Reads, batches, conditional writes, cancelled reads and refused statements, mixed as they are in a long day of operation.
"""

import argparse
import asyncio
import tempfile
from itertools import count
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid1, uuid4

import uvloop
from rich.console import Console

from benchmarks.measuring import resident_mb
from benchmarks.servers import open_cassandra
from common.database import Database, Select, WriteIf, connect
from common.settings import Settings
from grpc_discovery.addresses import Address
from services.comments.repository import INSERT_BY_USER, INSERT_BY_VIDEO, OF_VIDEO

CALLERS = 32
STATEMENTS_A_LINE = 100_000
OWN_PROCESS = "self"


class Claimed(NamedTuple):
    """Who holds a claim."""

    claim: UUID


CLAIM = WriteIf("INSERT INTO video_claims (videoid, claim) VALUES (?, ?) IF NOT EXISTS USING TTL 60")
CLAIMED = Select("SELECT claim FROM video_claims WHERE videoid = ?", Claimed)


async def run_one(database: Database, number: int, video_id: UUID) -> None:
    """Run the statement with this number; most are reads."""
    kind = number % 50
    if kind == 0:
        await database.write_if(CLAIM, video_id, uuid4())
    elif kind == 1:
        task = asyncio.create_task(database.select(OF_VIDEO, video_id, 10))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    elif kind < 10:
        other, comment_id = uuid4(), uuid1()
        await database.batch(
            [
                (INSERT_BY_VIDEO, (other, comment_id, video_id, "a comment")),
                (INSERT_BY_USER, (video_id, comment_id, other, "a comment")),
            ]
        )
    elif kind < 20:
        await database.select_one(CLAIMED, video_id)
    else:
        await database.select(OF_VIDEO, video_id, 10)


async def run(arguments: argparse.Namespace, point: Address) -> None:
    """Run the statements, and print a line for each hundred thousand."""
    settings = Settings.load(cassandra_driver=arguments.driver)
    database = await connect(settings.cassandra, [point], settings.cassandra.keyspace)
    await database.prepare((CLAIM, CLAIMED, INSERT_BY_VIDEO, INSERT_BY_USER, OF_VIDEO))
    video_id, numbers, console = uuid4(), count(), Console()
    for _ in range(10):
        await database.write(INSERT_BY_VIDEO, video_id, uuid1(), uuid4(), "a comment")

    async def caller(until: int) -> None:
        while (number := next(numbers)) < until:
            await run_one(database, number, video_id)

    for until in range(0, arguments.statements + 1, STATEMENTS_A_LINE):
        await asyncio.gather(*(caller(until) for _ in range(CALLERS)))
        console.print(f"{arguments.driver}: {until:>9,} statements, {resident_mb(OWN_PROCESS):.1f} MB")
    await database.close()


def main() -> None:
    """Read the command line, start a Cassandra unless one is named, and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("driver", nargs="?", default="acsylla")
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    parser.add_argument("--statements", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="killrvideo-endurance-") as folder,
        open_cassandra(arguments.cassandra, Path(folder)) as point,
    ):
        uvloop.run(run(arguments, point))


if __name__ == "__main__":
    main()
