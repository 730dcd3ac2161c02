"""A keyspace for the tests of the database, and the settings to reach it with."""

from typing import Any

from cassandra.cluster import Cluster, Session

from common.settings import Settings

KEYSPACE = "database_tests"
DRIVERS = ("cassandra-driver", "acsylla")
PATIENCE = 60.0

SCHEMA = f"""
CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}};
CREATE TABLE IF NOT EXISTS {KEYSPACE}.items (
    list uuid, item int, id uuid, time_id timeuuid, text text, moment timestamp, words set<text>, ids set<uuid>, numbers list<int>, links frozen<list<uuid>>,
    weight double, raw blob, big bigint, flag boolean, PRIMARY KEY ((list), item));
CREATE TABLE IF NOT EXISTS {KEYSPACE}.counts (id uuid PRIMARY KEY, total counter);
CREATE TABLE IF NOT EXISTS {KEYSPACE}.claims (name text PRIMARY KEY, owner uuid, taken timestamp);
CREATE TABLE IF NOT EXISTS {KEYSPACE}.totals (video uuid, user uuid, rating int, version int static, total int static, PRIMARY KEY ((video), user));
"""


def patient_cluster(node: Any) -> Cluster:
    """A plain way to a node, for setting the scene: it bears a busy machine."""
    return Cluster(
        [node.host], port=node.port, protocol_version=4, connect_timeout=PATIENCE, control_connection_timeout=PATIENCE
    )


def create(session: Session) -> None:
    """Create the keyspace and its tables."""
    session.default_timeout = PATIENCE
    for statement in filter(None, map(str.strip, SCHEMA.split(";"))):
        session.execute(statement)
    session.set_keyspace(KEYSPACE)


def settings_for(cassandra: Any, driver: str, **others: Any) -> Settings:
    """Settings that reach `cassandra` through `driver`."""
    chosen: dict[str, Any] = {"cassandra_driver": driver, **others}
    return Settings(dse_contact_points=cassandra.address, cassandra_keyspace=KEYSPACE, **chosen)
