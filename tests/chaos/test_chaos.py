"""Some of the trials, with a TTL of three seconds; `make chaos` does all of them with the real one."""

from pathlib import Path

import pytest

from infra.cassandra import Cassandra
from tests.chaos.trials import SHORT, TRIALS
from tests.chaos.world import world


@pytest.mark.parametrize("name", SHORT)
async def test_the_promises_hold_under_the_fault(name: str, cassandra: Cassandra, tmp_path: Path) -> None:
    async with world(tmp_path, 3, cassandra) as given:
        rows = await TRIALS[name](given)
    broken = [row.row() for row in rows if not row.held]
    assert not broken, "\n".join(broken)
