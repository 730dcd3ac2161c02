"""Two data centres of one node each, with services in both that write the same: what serial consistency keeps exact, and what it costs."""

import asyncio
import math
import statistics
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from grpc import aio

from infra.cassandra import Cassandra, cassandra_cluster
from protos.common_pb2 import Uuid
from tests.chaos.world import Measurement, World
from tests.chaos.writers import Calls
from tests.database.keyspace import PATIENCE, in_agreement, patient_cluster
from tests.processes import ServiceProcess, run_module

PROMISE = "data"
DATACENTERS = ("west", "east")
_WEST_ALONE = "{'class': 'NetworkTopologyStrategy', 'west': 1}"
_BOTH = "{'class': 'NetworkTopologyStrategy', 'west': 1, 'east': 1}"
_SLUGS = ("ratings", "user_management", "video_catalog")
_ADDRESSES, _VIDEOS, _RATED, _RATERS = 20, 20, 4, 20
_ALONE = 40
_PASSWORD = "a long enough password"
# Until the other data centre has what was written in one; it is not waited for when one writes.
_ARRIVAL_SECONDS = 15.0


class Broken(NamedTuple):
    """What two data centres disagree on, or both gave away."""

    accounts: int
    owners: int
    totals: int
    unknown: int


async def two_data_centres(world: World) -> list[Measurement]:
    """Both data centres create the same users, submit the same videos and rate the same videos at once."""
    rows = []
    environment = {**world.environment, "KILLRVIDEO_CASSANDRA_REPLICATION": _WEST_ALONE}

    def make_tables(node: Cassandra) -> None:
        contact = {"KILLRVIDEO_DSE_CONTACT_POINTS": node.address}
        run_module("schema", environment={**environment, **contact}, folder=world.folder, timeout=300)

    with ExitStack() as stack:
        cluster = cassandra_cluster(
            world.folder / "centres", 2, ready_seconds=300, datacenters=DATACENTERS, prepare=make_tables
        )
        nodes = await asyncio.to_thread(stack.enter_context, cluster)
        await world.until(lambda: in_agreement(nodes), 300, "two nodes that know each other")
        with patient_cluster(nodes[0]) as session:
            session.connect().execute(f"ALTER KEYSPACE killrvideo WITH replication = {_BOTH}", timeout=PATIENCE)
        await world.until(lambda: in_agreement(nodes), 300, "the same schema in both")
        for consistency in ("SERIAL", "LOCAL_SERIAL"):
            rows += await _with(consistency, nodes, environment, world.folder)
    return rows


async def _with(
    consistency: str, nodes: list[Cassandra], environment: dict[str, str], folder: Path
) -> list[Measurement]:
    """Run services of both data centres at this serial consistency."""
    async with AsyncExitStack() as stack:
        processes = [_process(consistency, node, environment, folder) for node in nodes]
        for process in processes:
            process.start()
            stack.push_async_callback(asyncio.to_thread, process.stop)
        for process in processes:
            await asyncio.to_thread(process.wait_ready, 300)
        centres = [Calls(process.address, timeout=20) for process in processes]
        for calls in centres:
            stack.push_async_callback(calls.close)
        rating, creating, submitting = await _costs(centres[0])
        broken = await _broken(centres)
    exact = consistency == "SERIAL"
    fault = f"two data centres write the same at once, {consistency}"
    costs = f"alone: a rating {rating:.1f} ms, a submit {submitting:.1f} ms, a new user {creating:.1f} ms; {broken.unknown} outcomes unknown"
    counts = {
        "addresses with two accounts": broken.accounts,
        "videos with two owners": broken.owners,
        "ratings missing in totals, or too many": broken.totals,
    }
    # The other setting is measured to show what breaks with it; it promises nothing.
    return [
        Measurement(PROMISE, f"{fault}: {what}", 0 if exact else math.inf, count, "", costs if index == 0 else "")
        for index, (what, count) in enumerate(counts.items())
    ]


def _process(consistency: str, node: Cassandra, environment: dict[str, str], folder: Path) -> ServiceProcess:
    own = {
        "KILLRVIDEO_DSE_CONTACT_POINTS": node.address,
        "KILLRVIDEO_CASSANDRA_DATACENTER": str(node.datacenter),
        "KILLRVIDEO_CASSANDRA_SERIAL_CONSISTENCY": consistency,
    }
    return ServiceProcess(_SLUGS, folder, {**environment, **own})


async def _costs(calls: Calls) -> tuple[float, float, float]:
    """The median time of a rating, a new user and a submit by one caller, in milliseconds."""
    seconds: list[list[float]] = [[], [], []]
    for _ in range(_ALONE):
        for index, call in enumerate(
            (_rate(calls, uuid4(), uuid4()), _create(calls, f"{uuid4()}@example.org", uuid4()))
        ):
            began = time.perf_counter()
            await call
            seconds[index].append(time.perf_counter() - began)
        began = time.perf_counter()
        await _submit(calls, uuid4(), uuid4())
        seconds[2].append(time.perf_counter() - began)
    rating, creating, submitting = (1000 * statistics.median(series) for series in seconds)
    return rating, creating, submitting


async def _broken(centres: list[Calls]) -> Broken:
    """Let both data centres do the same at once, and count what is not exact once all has arrived everywhere."""
    accounts = owners = 0
    statuses = []
    for number in range(_ADDRESSES):
        address = f"both{number}-{uuid4()}@example.org"
        got = await asyncio.gather(*(_create(calls, address, uuid4()) for calls in centres))
        accounts += got.count("OK") > 1
        statuses += got
    for _ in range(_VIDEOS):
        video = uuid4()
        got = await asyncio.gather(*(_submit(calls, video, uuid4()) for calls in centres))
        owners += got.count("OK") > 1
        statuses += got
    wrong = 0
    for _ in range(_RATED):
        video, raters = uuid4(), [(calls, uuid4()) for calls in centres for _ in range(_RATERS)]
        statuses += await asyncio.gather(*(_rate(calls, video, user) for calls, user in raters))
        wrong += await _wrong(centres, video, [user for _, user in raters])
    return Broken(accounts, owners, wrong, sum(status not in ("OK", "ALREADY_EXISTS") for status in statuses))


async def _wrong(centres: list[Calls], video: UUID, users: list[UUID]) -> int:
    """By how many ratings the totals of a video are wrong in the worse data centre, at the latest when all has arrived."""
    ends = time.monotonic() + _ARRIVAL_SECONDS
    while True:
        wrong = 0
        for calls in centres:
            ids = [{"video_id": _id(video), "user_id": _id(user)} for user in users]
            ratings = [answer.rating for answer in [await calls("GetUserRating", **each) for each in ids]]
            totals = await calls("GetRating", video_id=_id(video))
            wrong = max(wrong, abs(totals.ratings_count - sum(rating > 0 for rating in ratings)))
        if not wrong or time.monotonic() > ends:
            return wrong
        await asyncio.sleep(0.2)


async def _create(calls: Calls, address: str, user: UUID) -> str:
    names = {"first_name": "A", "last_name": "Person", "email": address, "password": _PASSWORD}
    return await _status(calls, "CreateUser", user_id=_id(user), **names)


async def _submit(calls: Calls, video: UUID, user: UUID) -> str:
    fields = {"name": "A video", "description": "Of two", "tags": ["both"], "you_tube_video_id": "abc"}
    return await _status(calls, "SubmitYouTubeVideo", video_id=_id(video), user_id=_id(user), **fields)


async def _rate(calls: Calls, video: UUID, user: UUID) -> str:
    return await _status(calls, "RateVideo", video_id=_id(video), user_id=_id(user), rating=4)


async def _status(calls: Calls, method: str, **fields: Any) -> str:
    """How a call ended."""
    try:
        await calls(method, **fields)
    except aio.AioRpcError as error:
        return error.code().name
    return "OK"


def _id(value: UUID) -> Uuid:
    return Uuid(value=str(value))
