"""A plain session for setting the scene and for looking behind the database's back."""

from collections.abc import Iterator
from typing import Any

import pytest
from cassandra.cluster import Cluster, Session

from tests.database import keyspace as scene


@pytest.fixture(scope="session")
def keyspace(cassandra: Any) -> Iterator[Session]:
    """A session in the tests' keyspace, which exists."""
    cluster = Cluster([cassandra.host], port=cassandra.port)
    session = cluster.connect()
    scene.create(session)
    yield session
    cluster.shutdown()
