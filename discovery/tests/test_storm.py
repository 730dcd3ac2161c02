"""A small storm (storm.py has the whole one, which `make chaos` runs)."""

from dataclasses import replace
from pathlib import Path

import pytest

from discovery.tests.storm import STORMS, Storm, storm

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    "plan",
    [
        replace(STORMS["v2"], instances=7, callers=3, steady=2.0),
        replace(STORMS["v3"], instances=20, callers=10, steady=2.0),
    ],
    ids=["v2", "v3"],
)
async def test_all_that_come_at_once_are_registered_and_follow_also_after_a_restart_of_etcd(
    plan: Storm, tmp_path: Path
) -> None:
    measured = await storm(plan, tmp_path)
    took = [each for when in (measured.start, measured.restart) for each in (when.registered, when.following)]
    assert max(took) <= plan.bound, measured
    assert measured.lost == 0
