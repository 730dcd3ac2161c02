"""A real Prometheus beside real services: it finds them in the registry, every panel has data after load, and alerts fire in a fault."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client import Services
from common.catalogue import SERVICES
from common.settings import PREFIX, Settings
from deploy.dashboard import ROWS
from discovery.tests.waiting import eventually
from infra.etcd import Etcd
from infra.ports import free_port
from protos import ratings_pb2, search_pb2, suggested_videos_pb2
from tests.observability.prometheus import Prometheus, prometheus
from tests.processes import ServiceProcess
from tests.scenarios.wire import new_id, u

pytestmark = pytest.mark.processes
QUERIES = {query for row in ROWS.values() for panel in row for query, _ in panel.queries}


@pytest.fixture
def watching(services: Any, environment: Mapping[str, str], tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that is told of all services of this run."""
    with prometheus(tmp_path / "prometheus", environment) as started:
        yield started


@asynccontextmanager
async def load(environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Some calls of each kind, over and over, while the block lasts."""

    async def call(services: Services) -> None:
        while True:
            video, user = u(new_id()), u(new_id())
            rating = ratings_pb2.RateVideoRequest(video_id=video, user_id=user, rating=3)
            related = suggested_videos_pb2.GetRelatedVideosRequest(video_id=video, page_size=3)
            suggested = suggested_videos_pb2.GetSuggestedForUserRequest(user_id=user, page_size=3)
            await services.ratings.RateVideo(rating, timeout=10)
            await services.search.SearchVideos(search_pb2.SearchVideosRequest(query="any", page_size=3), timeout=10)
            await services.suggested_videos.GetSuggestedForUser(suggested, timeout=10)
            await services.suggested_videos.GetRelatedVideos(related, timeout=10)
            await asyncio.sleep(0.05)

    async with Services.from_settings(Settings.from_environment(PREFIX, environment)) as services:
        calling = asyncio.create_task(call(services))
        try:
            yield
            assert not calling.done(), "a call has failed"
        finally:
            calling.cancel()
            await asyncio.wait([calling])


async def test_all_seven_are_scraped_and_every_panel_has_data_after_load(
    watching: Prometheus, environment: Mapping[str, str]
) -> None:
    def scraped() -> bool:
        up = {labels["service"] for labels, value in watching.query('up{job="killrvideo"}') if value == 1}
        return up >= set(SERVICES)

    await eventually(lambda: asyncio.to_thread(scraped), 30, "all seven are scraped")
    missing = set(QUERIES)

    def all_have_data() -> bool:
        missing.difference_update({query for query in missing if watching.has_data(query)})
        return not missing

    async with load(environment):
        try:
            await eventually(lambda: asyncio.to_thread(all_have_data), 45, "every panel has data")
        except AssertionError:
            pytest.fail("without data: " + "\n".join(sorted(missing)))
    assert not [labels for labels, _ in watching.query('ALERTS{alertstate="firing"}')], "nothing is wrong"


async def test_a_killed_instance_is_lost_and_with_the_last_one_the_service(
    cassandra: Any, environment: Mapping[str, str], tmp_path: Path
) -> None:
    with Etcd(tmp_path / "etcd", free_port()) as etcd:
        own = {**environment, "KILLRVIDEO_ETCD": etcd.address}
        first, second, stopped = (ServiceProcess("statistics", tmp_path, own) for _ in range(3))
        with prometheus(tmp_path / "prometheus", own) as watching, first, second, stopped:

            def number_is(wanted: int) -> Callable[[], bool]:
                return lambda: sum(value for _, value in watching.query('up{job="killrvideo"} == 1')) == wanted

            await eventually(lambda: asyncio.to_thread(number_is(3)), 30, "all are scraped")
            await asyncio.to_thread(stopped.stop)
            await eventually(lambda: asyncio.to_thread(number_is(2)), 15, "the one that stopped is forgotten")
            address = f"127.0.0.1:{first.port + 1000}"
            first.kill()
            lost = await eventually(
                lambda: asyncio.to_thread(watching.firing, "InstanceLost", instance=address), 25, "it is told as lost"
            )
            assert len([each for each, _ in watching.query('ALERTS{alertname="InstanceLost"}')]) == 1, "no other is"
            assert not watching.firing("ServiceLost", service="StatisticsService")
            second.kill()
            gone = await eventually(
                lambda: asyncio.to_thread(watching.firing, "ServiceLost", service="StatisticsService"),
                40,
                "the service is told as lost",
            )
    print(f"InstanceLost after {lost:.1f} s, ServiceLost after {gone:.1f} s")
