"""Sessions of acsylla: how the driver is set up, and how a connection is made."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import acsylla

from common.settings import CassandraSettings
from grpc_discovery.addresses import Address

_CONNECT_SECONDS = 3.0
_RECONNECT_MS = 1000
_HEARTBEAT_SECONDS = 1
_IDLE_SECONDS = 4
# A retry policy, by its name in the driver: nothing is retried, unless a statement asks for it.
_NEVER_AGAIN = "fallthrough"


async def local_datacenter(settings: CassandraSettings, contact_points: list[Address]) -> str:
    """The data centre of the first contact point that answers, so that no statement goes to another one."""
    session = await open_session(settings, contact_points, None, None)
    try:
        result = await session.execute(acsylla.create_statement("SELECT data_center FROM system.local"))
        return str(result.first().as_tuple()[0])
    finally:
        await session.close()


async def open_session(
    settings: CassandraSettings, contact_points: list[Address], datacenter: str | None, keyspace: str | None
) -> Any:
    """A session of the driver. A caller that is cancelled meanwhile waits until the attempt has ended, at the latest by its timeout.

    The driver blocks the whole process, for good, when a session is dropped that is still connecting.
    """
    cluster = _cluster(settings, contact_points, datacenter, await _local_address(contact_points[0].host))
    attempt = asyncio.ensure_future(cluster.create_session(keyspace))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        await asyncio.wait([attempt])
        if attempt.exception() is None:
            await attempt.result().close()
        raise


async def _local_address(host: str) -> str | None:
    """What the driver binds before it connects. By default it makes sockets for IPv4 only, and cannot connect to an IPv6 address."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return None  # the driver will say that no host answers
    return "::" if {family for family, *_ in found} == {socket.AF_INET6} else None


def _cluster(
    settings: CassandraSettings, contact_points: list[Address], datacenter: str | None, local_address: str | None
) -> Any:
    name, password = settings.user or (None, None)
    port = contact_points[0][1]
    return acsylla.create_cluster(
        # All nodes of a cluster listen at one port.
        [host for host, its_port in contact_points if its_port == port],
        port=port,
        local_address=local_address,
        username=name,
        password=password,
        ssl_enabled=settings.enable_ssl,
        ssl_trusted_cert=_text(settings.tls.ca),
        ssl_cert=_text(settings.tls.certificate),
        ssl_private_key=_text(settings.tls.key),
        # Nodes are known by address; the CA decides whom to trust.
        ssl_verify_flags=acsylla.SSLVerifyFlags.PEER_CERT,
        protocol_version=acsylla.ProtocolVersion.V4,
        consistency=acsylla.Consistency.LOCAL_QUORUM,
        serial_consistency=acsylla.Consistency[settings.serial_consistency],
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=settings.timeout,
        load_balance_dc_aware=datacenter,
        retry_policy=_NEVER_AGAIN,
        exponential_reconnect_base_delay_ms=_RECONNECT_MS // 4,
        exponential_reconnect_max_delay_ms=_RECONNECT_MS,  # a constant delay, if given, is ignored
        heartbeat_interval_sec=_HEARTBEAT_SECONDS,
        idle_timeout_sec=_IDLE_SECONDS,
        prepare_on_all_hosts=False,
        log_level="critical",  # what matters arrives as errors of statements, and as health
        application_name="killrvideo",
    )


def _text(path: Path | None) -> str | None:
    return path.read_text() if path else None
