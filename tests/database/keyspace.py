"""A keyspace for the tests of the database, and the settings to reach it with."""

from collections.abc import Sequence
from typing import Any

from cassandra.cluster import Cluster, Session
from cassandra.policies import WhiteListRoundRobinPolicy

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
    """A plain way to a node, and to no other, for setting the scene: it bears a busy machine."""
    return Cluster(
        [node.host],
        port=node.port,
        protocol_version=4,
        load_balancing_policy=WhiteListRoundRobinPolicy([node.host]),
        connect_timeout=PATIENCE,
        control_connection_timeout=PATIENCE,
    )


def in_agreement(nodes: Sequence[Any]) -> bool:
    """Whether each of `nodes`, asked by itself, knows all others and has the same schema as they.

    A node answers before it knows of the others, and until then they hear of no table that is made on it.
    """
    seen = []
    for node in nodes:
        with patient_cluster(node) as cluster:
            session = cluster.connect()
            peers = session.execute("SELECT schema_version FROM system.peers", timeout=PATIENCE)
            own = session.execute("SELECT schema_version FROM system.local", timeout=PATIENCE)
            seen.append([row.schema_version for row in (*own, *peers)])
    return (
        all(len(versions) == len(nodes) for versions in seen) and len({v for versions in seen for v in versions}) == 1
    )


def create(session: Session) -> None:
    """Create the keyspace and its tables."""
    session.default_timeout = PATIENCE
    for statement in filter(None, map(str.strip, SCHEMA.split(";"))):
        session.execute(statement)
    session.set_keyspace(KEYSPACE)


def settings_for(cassandra: Any, driver: str, **others: Any) -> Settings:
    """Settings that reach `cassandra` through `driver`."""
    where = {"dse_contact_points": cassandra.address, "cassandra_keyspace": KEYSPACE}
    return Settings.load(**where, cassandra_driver=driver, **others)
