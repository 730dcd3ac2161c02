"""Clusters of cassandra-driver: how the driver is set up, and what it retries."""

import logging
import ssl
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import dict_factory, tuple_factory

from common.settings import CassandraSettings
from grpc_discovery.addresses import Address

CONDITIONAL_PROFILE = "conditional"
"""The execution profile of lightweight transactions, whose rows are dicts."""

_CONNECT_SECONDS = 3.0
_RECONNECT_SECONDS = 1.0
_HEARTBEAT_SECONDS, _HEARTBEAT_WAIT_SECONDS = 1, 3
# Idempotent statements are sent to a second node, and a third, when the first has not answered for so long: it may be paused or cut off.
_NEXT_NODE_SECONDS, _NEXT_NODES = 1.0, 2


class RetryIdempotentOnce(FallthroughRetryPolicy):  # type: ignore[misc]  # the driver is untyped
    """Tries an idempotent statement once more, on the next host, when a host fails it; nothing else is retried by the driver."""

    def on_request_error(self, query: Any, consistency: Any, error: Any, retry_num: int) -> tuple[int, Any]:
        """See the driver's RetryPolicy."""
        if retry_num == 0 and query.is_idempotent:
            return self.RETRY_NEXT_HOST, consistency
        return self.RETHROW, None

    def on_unavailable(
        self, query: Any, consistency: Any, required_replicas: int, alive_replicas: int, retry_num: int
    ) -> tuple[int, Any]:
        """See the driver's RetryPolicy."""
        return self.on_request_error(query, consistency, None, retry_num)


def build_cluster(settings: CassandraSettings, contact_points: list[Address]) -> Cluster:
    """A cluster of the driver, not yet connected. Raises UnresolvableContactPoints when no contact point is a known name."""
    # The driver logs each lost connection and each retry, over and over; we log what matters once.
    logging.getLogger("cassandra").setLevel("DEBUG" if logging.getLogger().isEnabledFor(logging.DEBUG) else "CRITICAL")
    profiles = {
        name: ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(settings.datacenter or "")),
            retry_policy=RetryIdempotentOnce(),
            speculative_execution_policy=ConstantSpeculativeExecutionPolicy(_NEXT_NODE_SECONDS, _NEXT_NODES),
            row_factory=factory,
            consistency_level=ConsistencyLevel.LOCAL_QUORUM,
            serial_consistency_level=ConsistencyLevel.name_to_value[settings.serial_consistency],
            request_timeout=settings.timeout,
        )
        for name, factory in ((EXEC_PROFILE_DEFAULT, tuple_factory), (CONDITIONAL_PROFILE, dict_factory))
    }
    auth = None
    if settings.user:
        auth = PlainTextAuthProvider(*settings.user)
    cluster = Cluster(
        contact_points,
        port=contact_points[0][1],
        execution_profiles=profiles,
        auth_provider=auth,
        ssl_context=_tls(settings) if settings.enable_ssl else None,
        reconnection_policy=ConstantReconnectionPolicy(_RECONNECT_SECONDS, None),
        connect_timeout=_CONNECT_SECONDS,
        control_connection_timeout=_CONNECT_SECONDS,
        idle_heartbeat_interval=_HEARTBEAT_SECONDS,
        idle_heartbeat_timeout=_HEARTBEAT_WAIT_SECONDS,
        prepare_on_all_hosts=False,
        protocol_version=4,  # version 5 adds checksums to every frame, which the driver computes in Python
        compression=False,
    )
    if not issubclass(cluster.connection_class, LibevConnection):
        raise RuntimeError(
            f"cassandra-driver would use {cluster.connection_class.__name__}, which is far slower than libev"
        )
    return cluster


def _tls(settings: CassandraSettings) -> ssl.SSLContext:
    files = settings.tls
    context = ssl.create_default_context(cafile=files.ca)
    context.check_hostname = False  # nodes are known by address; the CA decides whom to trust
    if files.certificate:
        context.load_cert_chain(files.certificate, files.key)
    return context
