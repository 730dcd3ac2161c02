"""How cost grows: `python -m benchmarks.growth`, or some of it: `python -m benchmarks.growth videos instances`. `data` loads whole videos.

Through the services' own repositories on a Cassandra of its own (or `--cassandra HOST:PORT`, which is full of videos afterwards), and through the
client on an etcd of its own. Prints a chart for each.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid1, uuid4

import uvloop
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from rich.console import Console

from benchmarks import data_growth, data_load
from benchmarks.servers import open_cassandra
from client import Services
from common.database import Database, connect
from common.settings import Settings
from common.timestamps import now
from grpc_discovery import open_registry
from grpc_discovery.balancing.endpoint import Health
from infra.etcd import Etcd
from infra.ports import free_port
from protos import comments_pb2
from protos.comments_pb2_grpc import CommentsServiceServicer, add_CommentsServiceServicer_to_server
from services.comments.repository import INSERT_BY_VIDEO, CommentsRepository
from services.comments.repository import STATEMENTS as COMMENT_STATEMENTS
from services.ratings.repository import STATEMENTS as RATING_STATEMENTS
from services.ratings.repository import RatingsRepository
from services.ratings.tally import Tally
from services.video_catalog.index_plan import INSERT_LATEST_VIDEO, INSERT_USER_VIDEO, INSERT_VIDEO, day_of
from services.video_catalog.latest import latest_videos
from services.video_catalog.repository import STATEMENTS as VIDEO_STATEMENTS
from services.video_catalog.repository import VideoCatalogRepository

PAGE = 10
DEPTHS = (1, 10, 100, 500, 1000)
COMMENTS = (100, 1_000, 10_000, 100_000)
VIDEOS = (1_000, 10_000, 100_000, 1_000_000)
DAYS = 30
CALLERS = (1, 2, 4, 8, 16, 32, 64)
INSTANCES = (1, 10, 50, 100, 200)
REPEATS, UNTIMED = 100, 20
WRITERS = 64
BAR = 30

Chart = list[tuple[str, float]]


async def milliseconds(work: Callable[[], Awaitable[Any]]) -> float:
    """The median time of REPEATS repetitions, after some that are not counted."""
    times = []
    for _ in range(UNTIMED + REPEATS):
        began = time.perf_counter()
        await work()
        times.append((time.perf_counter() - began) * 1000)
    return median(times[UNTIMED:])


async def _add_comments(database: Database, video_id: UUID, ids: Sequence[UUID]) -> None:
    for start in range(0, len(ids), 100):
        some_ids = ids[start : start + 100]
        await database.batch(
            [(INSERT_BY_VIDEO, (video_id, comment_id, video_id, "a comment")) for comment_id in some_ids]
        )


async def page_depth(database: Database, _: float) -> dict[str, Chart]:
    """Pages at growing depths of a list of ten thousand comments."""
    comments, video_id = CommentsRepository(database), uuid4()
    ids = [uuid1() for _ in range(DEPTHS[-1] * PAGE)]
    await _add_comments(database, video_id, ids)
    newest_first = ids[::-1]
    times = []
    for depth in DEPTHS:
        after: UUID | None = newest_first[(depth - 1) * PAGE - 1] if depth > 1 else None

        async def page(after: UUID | None = after) -> None:
            await comments.of_video(video_id, PAGE + 1, None, after)

        times.append((f"page {depth:,}", await milliseconds(page)))
    return {"A page of ten comments, ms": times}


async def comments_of_a_video(database: Database, _: float) -> dict[str, Chart]:
    """A page of a video with more and more comments, and one more comment on it."""
    comments, video_id, present = CommentsRepository(database), uuid4(), 0
    reading, writing = [], []
    for wanted in COMMENTS:
        await _add_comments(database, video_id, [uuid1() for _ in range(wanted - present)])
        present = wanted
        name = f"{wanted:,} comments"
        reading.append((name, await milliseconds(lambda: comments.of_video(video_id, PAGE + 1, None, None))))
        writing.append((name, await milliseconds(lambda: comments.add(video_id, uuid4(), uuid1(), "one more"))))
    return {"The newest ten comments of one video, ms": reading, "One more comment on it, ms": writing}


async def videos(database: Database, _: float) -> dict[str, Chart]:
    """Reads of videos, while there are more and more of them, over thirty days and a thousand users."""
    catalog, ids, today = VideoCatalogRepository(database), list[UUID](), now()
    users = [uuid4() for _ in range(VIDEOS[0])]
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "One video, ms": lambda: catalog.video(random.choice(ids)),
        "Ten videos by their ids, ms": lambda: catalog.previews(random.sample(ids, PAGE)),
        "The ten latest, ms": lambda: latest_videos(catalog, PAGE + 1, DAYS, None),
        "The ten latest of a user, ms": lambda: catalog.of_user(random.choice(users), PAGE + 1, None),
    }
    charts: dict[str, Chart] = {name: [] for name in calls}
    for wanted in VIDEOS:

        async def writer(wanted: int = wanted) -> None:
            while len(ids) < wanted:
                video_id, user_id = uuid4(), random.choice(users)
                ids.append(video_id)
                added = today - timedelta(milliseconds=random.randrange(DAYS * 86_400_000))
                name, preview = "A walk through an orchard", "//img.youtube.com/vi/abcdefghijk/hqdefault.jpg"
                await database.write(
                    INSERT_VIDEO, video_id, user_id, name, "abcdefghijk", 0, preview, added, "Blossoms.", {"spring"}
                )
                await database.write(INSERT_USER_VIDEO, user_id, added, video_id, name, preview)
                await database.write(INSERT_LATEST_VIDEO, day_of(added), added, video_id, user_id, name, preview)

        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        for title, work in calls.items():
            charts[title].append((f"{wanted:,} videos", await milliseconds(work)))
    return charts


async def _a_second(work: Callable[[], Awaitable[Any]], callers: int, seconds: float) -> tuple[int, float]:
    """Let callers, each of which waits for its answer, do `work` for `seconds`. Returns how often they did it, in all and a second."""
    began = time.perf_counter()

    async def caller() -> int:
        done = 0
        while time.perf_counter() < began + seconds:
            await work()
            done += 1
        return done

    done = sum(await asyncio.gather(*(caller() for _ in range(callers))))
    return done, done / (time.perf_counter() - began)


async def hot_video(database: Database, seconds: float) -> dict[str, Chart]:
    """Ratings of one video by more and more callers; the totals are checked each time."""
    rates = []
    for callers in CALLERS:
        tally, video_id = Tally(RatingsRepository(database)), uuid4()
        rated, rate = await _a_second(lambda: tally.rate(video_id, uuid4(), 3), callers, seconds)  # noqa: B023
        if await tally.totals(video_id) != (rated, rated * 3):
            raise SystemExit(f"the totals of {rated} ratings are not exact")
        rates.append((f"{callers} callers", rate))
    return {"Ratings of one video, a second": rates}


async def reading_callers(database: Database, seconds: float) -> dict[str, Chart]:
    """Pages read by more and more callers."""
    comments, video_id = CommentsRepository(database), uuid4()
    await _add_comments(database, video_id, [uuid1() for _ in range(PAGE)])
    return {
        "Pages of ten comments, a second": [
            (f"{callers} callers", (await _a_second(lambda: comments.of_video(video_id, PAGE, None, None), callers, seconds))[1])
            for callers in CALLERS
        ]
    }  # fmt: skip


class EmptyComments(CommentsServiceServicer):
    """Answers at once, so that only the cost of the caller is measured."""

    async def GetVideoComments(self, request: Any, context: Any) -> Any:
        """Answer with no comment."""
        return comments_pb2.GetVideoCommentsResponse()


async def _instances() -> AsyncIterator[str]:
    """Addresses of one server, one after the other."""
    server, checks = aio.server(options=[("grpc.http2.max_ping_strikes", 0)]), health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs leave it out
    add_CommentsServiceServicer_to_server(EmptyComments(), server)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    await checks.set("killrvideo.comments.CommentsService", health_pb2.HealthCheckResponse.SERVING)
    ports = [server.add_insecure_port("127.0.0.1:0") for _ in range(INSTANCES[-1])]
    await server.start()
    for port in ports:
        yield f"127.0.0.1:{port}"
    await server.stop(0)


async def instances(folder: Path) -> dict[str, Chart]:
    """A caller of a service with more and more registered instances: the time until it knows all of them, and the time of a call then."""
    with Etcd(folder, free_port()) as etcd:
        settings = Settings.load(etcd=etcd.address, discovery="etcd-v2", ttl=600, client_max_endpoints=INSTANCES[-1])
        registry = await open_registry(settings.registry)
        resolving, calling, registered = [], [], list[str]()
        async with aclosing(_instances()) as addresses:  # type: ignore[type-var]
            for wanted in INSTANCES:
                while len(registered) < wanted:
                    registered.append(address := await anext(addresses))
                    await registry.advertise("CommentsService", address, address, settings.advertise.ttl)
                began = time.perf_counter()
                async with Services(settings) as services:
                    pool = services.pool("CommentsService")
                    while sum(endpoint.health is Health.SERVING for endpoint in pool.endpoints.values()) < wanted:
                        await pool.wait_for_change(1)
                    resolving.append((f"{wanted} instances", (time.perf_counter() - began) * 1000))
                    request = comments_pb2.GetVideoCommentsRequest(page_size=PAGE)
                    calling.append((f"{wanted} instances", await milliseconds(lambda: services.comments.GetVideoComments(request))))  # noqa: B023  # fmt: skip
        for address in registered:  # an entry that stays would have a process wait for its end
            await registry.withdraw("CommentsService", address, address)
        await registry.close()
    return {"A caller knows all instances and that they serve, ms": resolving, "A call that is answered at once, ms": calling}  # fmt: skip


ON_CASSANDRA = {
    "pages": page_depth,
    "comments": comments_of_a_video,
    "ratings": hot_video,
    "callers": reading_callers,
    "videos": videos,
}


def chart_text(title: str, chart: Chart) -> str:
    """The chart with a bar for each figure."""
    maximum = max(value for _, value in chart)
    lines = [
        f"    {name:>18} {value:>9,.{2 if maximum < 100 else 0}f} {'█' * round(value / maximum * BAR)}"
        for name, value in chart
    ]
    return "\n".join([title, "", *lines, ""])  # fmt: skip


async def run(arguments: argparse.Namespace) -> None:
    """Measure and print one chart after the other."""
    console = Console(width=120)
    chosen = arguments.what or [*ON_CASSANDRA, "data", "instances"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-growth-")))
        if set(chosen) - {"instances"}:
            point = stack.enter_context(open_cassandra(arguments.cassandra, folder))
            settings = Settings.load(cassandra_driver=arguments.driver, database_timeout=30)
            database = await connect(settings.cassandra, [point], settings.cassandra.keyspace)
            await database.prepare([*COMMENT_STATEMENTS, *RATING_STATEMENTS, *VIDEO_STATEMENTS])
            for name, measure in ON_CASSANDRA.items():
                if name in chosen:
                    for title, chart in (await measure(database, arguments.seconds)).items():
                        console.print(chart_text(title, chart), highlight=False)
            if "data" in chosen:
                await database.prepare([*data_growth.all_statements(), *data_load.STATEMENTS])
                sizes = [int(size) for size in arguments.sizes.split(",")]
                console.print(await data_growth.growth_table(database, settings, sizes, console))
            await database.close()
        if "instances" in chosen:
            for title, chart in (await instances(folder / "etcd")).items():
                console.print(chart_text(title, chart), highlight=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*ON_CASSANDRA, "data", "instances"], metavar="WHAT", help=f"{', '.join(ON_CASSANDRA)}, data, instances (all)")  # fmt: skip
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    parser.add_argument("--driver", default="auto")
    parser.add_argument(
        "--sizes", default=",".join(map(str, data_growth.SIZES)), help="data: numbers of videos (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=4, help="seconds for each number of callers (4)")
    uvloop.run(run(parser.parse_args()))
