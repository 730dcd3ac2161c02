"""A plain session for setting the scene and for looking behind the database's back."""

from collections.abc import Iterator
from typing import Any

import pytest
from cassandra.cluster import Session

from tests.database import keyspace as scene


@pytest.fixture(scope="session")
def keyspace(cassandra: Any) -> Iterator[Session]:
    """A session in the tests' keyspace, which exists."""
    cluster = scene.patient_cluster(cassandra)
    session = cluster.connect()
    scene.create(session)
    yield session
    cluster.shutdown()
