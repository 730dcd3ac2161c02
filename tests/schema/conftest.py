"""A plain session for setting the scene and for looking behind the schema step's back, and settings for a keyspace of the test's own."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from cassandra.cluster import Cluster, Session

from common.settings import Settings


@pytest.fixture(scope="session")
def session(bare_cassandra: Any) -> Iterator[Session]:
    """A session without a keyspace."""
    cluster = Cluster([bare_cassandra.host], port=bare_cassandra.port)
    session = cluster.connect()
    session.default_timeout = 120  # seconds; on a busy machine, dropping a keyspace takes long
    yield session
    cluster.shutdown()


@pytest.fixture
def keyspace(session: Session) -> Iterator[str]:
    """The name of a keyspace that does not exist yet; dropped after the test."""
    name = f"schema_test_{uuid4().hex[:8]}"
    yield name
    session.execute(f"DROP KEYSPACE IF EXISTS {name}")


@pytest.fixture
def own_settings(settings: Settings, keyspace: str) -> Settings:
    """Settings for that keyspace."""
    return settings.replace(cassandra_keyspace=keyspace)
