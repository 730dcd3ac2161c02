"""What the metrics say of the caches: each that docs/operations.md lists is there, as large as it is."""

import gc
import re
from collections import Counter
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from common.catalogue import SERVICES
from common.database.acsylla_driver import AcsyllaDriver
from common.settings import Settings
from infra.layout import ROOT
from language.word_index import _take_apart_once, analyse
from services.statistics.repository import StatisticsRepository
from services.suggested_videos.held import Held
from services.video_catalog.recently_written import RecentlyWritten
from tests.services.test_caches import NoDatabase

SETTINGS = Settings()


def told(metric: str) -> dict[str, float]:
    """What a metric of the caches says, by the name of the cache."""
    [family] = [family for family in REGISTRY.collect() if family.name == metric]
    return {sample.labels["cache"]: sample.value for sample in family.samples}


def documented() -> Counter[str]:
    """The names in the table of docs/operations.md."""
    section = (ROOT / "docs" / "operations.md").read_text().split("## Memory: every cache and its bound")[1]
    rows = re.findall(r"^\|(.+)\|$", section.split("\n## ")[0], re.MULTILINE)[2:]
    return Counter(name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[-1]))


def test_every_cache_of_the_table_has_its_gauges_once_its_service_runs() -> None:
    database: Any = NoDatabase()
    servicers = [
        import_module(f"{known.module}.service").SERVICE.build(database, SETTINGS) for known in SERVICES.values()
    ]
    driver = AcsyllaDriver(None, SETTINGS.cassandra, None)
    for metric in ("killrvideo_cache_entries", "killrvideo_cache_bytes"):
        assert {*told(metric)} == {*documented()}
    assert set(documented().values()) == {1}
    del servicers, driver


async def test_a_cache_is_as_large_as_what_it_holds_until_it_is_gone() -> None:
    def held() -> tuple[float | None, float | None]:
        return told("killrvideo_cache_entries").get("tried"), told("killrvideo_cache_bytes").get("tried")

    assert held() == (None, None)
    one, other = Held[int]("tried", 1_000), Held[int]("tried", 1_000)
    for cache, values in ((one, 12), (other, 1)):
        for value in range(values):
            cache.hold(uuid4(), value, 100, 60.0)
    assert held() == (11, 1_100)  # one is full; both have the name
    del cache, one
    gc.collect()
    assert held() == (1, 100)
    del other
    gc.collect()
    assert held() == (None, None)


@pytest.mark.parametrize(("cache", "bytes_each"), [("spellings", 300), ("terms", 1_000), ("plays_seen", 300)])
async def test_what_is_remembered_counts(cache: str, bytes_each: int) -> None:
    gc.collect()
    _take_apart_once.cache_clear()  # other tests may have filled it
    before = told("killrvideo_cache_entries").get(cache, 0), told("killrvideo_cache_bytes").get(cache, 0)
    written, played = RecentlyWritten("spellings"), StatisticsRepository(NoDatabase())  # type: ignore[arg-type]  # a fake
    written.add(f"{number}" for number in range(7))
    analyse("", (), " ".join(uuid4().hex[:12] for _ in range(7)))
    for _ in range(7):
        await played.add_play(uuid4())
    after = told("killrvideo_cache_entries")[cache], told("killrvideo_cache_bytes")[cache]
    assert after == (before[0] + 7, before[1] + 7 * bytes_each)
