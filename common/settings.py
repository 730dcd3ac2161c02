"""The settings of every process, read from the environment (prefix KILLRVIDEO_) once, at start, and never changed.

Those of listening, advertising, finding and calling are grpc_discovery's, with our defaults; what is KillrVideo's own stands here. The table in
docs/settings.md is generated from the descriptions. Names that earlier backends used are kept (contract, section 6). A secret may be given as a file:
KILLRVIDEO_DSE_PASSWORD_FILE=/run/secrets/password stands for KILLRVIDEO_DSE_PASSWORD.
"""

import os
import re
import sys
from pathlib import Path
from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from common.catalogue import REGISTRY_ROOT
from common.setting_defaults import with_defaults
from common.setting_names import misspelled
from grpc_discovery import Section, setting
from grpc_discovery import Settings as LibrarySettings
from grpc_discovery.addresses import Address, parse_address, parse_addresses, parse_host
from grpc_discovery.settings import AdvertiseSettings as LibraryAdvertiseSettings
from grpc_discovery.settings import DnsSettings as LibraryDnsSettings
from grpc_discovery.settings import EtcdSettings as LibraryEtcdSettings
from grpc_discovery.settings import ListenSettings as LibraryListenSettings
from grpc_discovery.settings import RegistrySettings as LibraryRegistrySettings
from grpc_discovery.settings import ServingSettings as LibraryServingSettings
from grpc_discovery.settings import TlsFiles

PREFIX = "KILLRVIDEO_"

_told: set[str] = set()  # what this process has said of misspelt names


class ListenSettings(LibraryListenSettings):
    """Where a service listens."""

    port: int | None = setting(
        "LISTEN_PORT",
        None,
        "Port to bind. Default: the service's own port, or 8899 for several in one process.",
        ge=1,
        le=65_535,
    )


class AdvertiseSettings(LibraryAdvertiseSettings):
    """What a service advertises."""

    host: str | None = setting(
        "SERVICE_HOST",
        None,
        "Address to advertise. Default: KILLRVIDEO_HOST_IP, else KILLRVIDEO_DOCKER_IP, else in a container its own address, else the bound one.",
    )
    instance: str | None = setting(
        "INSTANCE",
        None,
        "Name of this instance in the registry. Default: `host:port` as advertised. `killrvideo-python` gives the keys of the article.",
    )


class EtcdSettings(LibraryEtcdSettings):
    """Where etcd is."""

    addresses: str = setting(
        "ETCD",
        "127.0.0.1:2379",
        "etcd's addresses, `host:port`, several with commas. Default: KILLRVIDEO_DOCKER_IP:2379, else 127.0.0.1:2379.",
    )


class DnsSettings(LibraryDnsSettings):
    """For finding by DNS."""

    names: str = setting(
        "DNS_NAMES",
        "",
        "For discovery=dns: `CommentsService=comments:8101;…`. A name without a port is looked up as SRV. Default: each service's short name with its port.",
    )


class RegistrySettings(LibraryRegistrySettings):
    """The registry, with the path and the names in it that existing clients read."""

    root: str = setting(
        "REGISTRY_ROOT",
        REGISTRY_ROOT,
        "Path in etcd below which the entries lie. Existing clients know no other than the default.",
        pattern=r"^(/[A-Za-z0-9][A-Za-z0-9._-]*)+$",
    )
    names: Literal["full", "short"] = setting(
        "REGISTRY_NAMES",
        "short",
        "Names in the registry: `short` (CommentsService) or `full` (killrvideo.comments.CommentsService). Existing clients know the short ones.",
    )
    etcd: EtcdSettings = EtcdSettings()
    dns: DnsSettings = DnsSettings()
    static: str = setting(
        "STATIC_SERVICES",
        "",
        "For discovery=static: `CommentsService=127.0.0.1:8101,127.0.0.1:8102;RatingsService=…`. A service left out is looked for at its own port on KILLRVIDEO_SERVICE_HOST or 127.0.0.1.",
    )


class ServingSettings(LibraryServingSettings):
    """How a service takes calls."""

    max_request: int = setting(
        "MAX_REQUEST",
        524_288,
        "Bytes of a request; a larger one is INVALID_ARGUMENT. The largest valid one, a video with all its texts at their limits, has about 170,000.",
        ge=1,
        le=4_194_304,
    )


class CassandraTls(TlsFiles):
    """TLS to Cassandra."""

    ca: Path | None = setting(
        "SSL_CERTIFICATE",
        None,
        "CA certificate (PEM file) that Cassandra's certificate is checked against; read only with KILLRVIDEO_ENABLE_SSL.",
    )
    certificate: Path | None = setting(
        "SSL_CLIENT_CERTIFICATE", None, "Client certificate (PEM file) shown to Cassandra."
    )
    key: Path | None = setting("SSL_CLIENT_KEY", None, "Private key of the client certificate shown to Cassandra.")


class CassandraSettings(Section):
    """Where Cassandra is, and how it is talked to."""

    addresses: str = setting(
        "DSE_CONTACT_POINTS",
        "",
        "Cassandra's addresses, with commas, each `host` or `host:port`. Empty: looked up in the registry under `cassandra`.",
    )
    username: str | None = setting("DSE_USERNAME", None, "User of Cassandra, if it asks for one.", secret_file=True)
    password: SecretStr | None = setting("DSE_PASSWORD", None, "Password of Cassandra.", secret_file=True)
    enable_ssl: bool = setting("ENABLE_SSL", False, "TLS to Cassandra.")
    tls: CassandraTls = CassandraTls()
    port: int = setting("CASSANDRA_PORT", 9042, "Port of contact points that name none.", ge=1, le=65_535)
    driver: Literal["auto", "cassandra-driver", "acsylla"] = setting(
        "CASSANDRA_DRIVER",
        "auto",
        "Library that talks to Cassandra. `auto` is the project's choice (docs/decisions/).",
    )
    keyspace: str = setting(
        "CASSANDRA_KEYSPACE", "killrvideo", "Keyspace of the data.", pattern=r"^[a-z][a-z0-9_]{0,47}$"
    )
    advertised: str = setting(
        "CASSANDRA_ADVERTISED",
        "",
        "`host:port` under which the schema step advertises Cassandra. Default: the first contact point.",
    )
    datacenter: str | None = setting(
        "CASSANDRA_DATACENTER", None, "Data centre to talk to. Default: that of the first contact point."
    )
    replication: str = setting(
        "CASSANDRA_REPLICATION",
        "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        "Replication of the keyspace when the schema step creates it, as CQL.",
    )
    read_consistency: Literal["LOCAL_QUORUM", "LOCAL_ONE"] = setting(
        "CASSANDRA_READ_CONSISTENCY",
        "LOCAL_QUORUM",
        "LOCAL_ONE reads from one replica: faster, but then one may not read what one has just written.",
    )
    serial_consistency: Literal["LOCAL_SERIAL", "SERIAL"] = setting(
        "CASSANDRA_SERIAL_CONSISTENCY",
        "LOCAL_SERIAL",
        "Of lightweight transactions and of reads that decide. SERIAL where services write in more than one data centre: each then waits for the others.",
    )
    timeout: float = setting(
        "DATABASE_TIMEOUT",
        5.0,
        "Seconds one attempt of a statement may take at most; a call's deadline shortens it.",
        gt=0,
        le=120,
    )

    @field_validator("addresses")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        if value:
            parse_addresses(value, 9042)
        return value

    @field_validator("advertised")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value:
            parse_address(value)
        return value

    @field_validator("replication")
    @classmethod
    def _is_a_map(cls, value: str) -> str:
        """The text goes into a statement as it is, so only a map of plain names and numbers is taken."""
        if not re.fullmatch(r"\{(\s*'[\w.-]+'\s*:\s*('[\w.-]+'|\d+)\s*,?)+\s*\}", value):
            raise ValueError("is not a CQL map such as {'class': 'SimpleStrategy', 'replication_factor': 1}")
        return value

    @model_validator(mode="after")
    def _tls_with_an_authority(self) -> Self:
        """Without one a driver trusts either nobody or every public authority, that is, anybody who has bought a certificate."""
        if self.enable_ssl and not self.tls.ca:
            raise ValueError("{prefix}ENABLE_SSL needs {prefix}SSL_CERTIFICATE, the CA of Cassandra's certificate")
        return self

    @property
    def contact_points(self) -> list[Address]:
        """Cassandra's addresses; empty when the registry is to be asked."""
        return parse_addresses(self.addresses, self.port) if self.addresses else []

    @property
    def user(self) -> tuple[str, str] | None:
        """Name and password, where both are given."""
        return (self.username, self.password.get_secret_value()) if self.username and self.password else None


class Settings(LibrarySettings):
    """All settings of a service, its tools and its callers."""

    listen: ListenSettings = ListenSettings()
    advertise: AdvertiseSettings = AdvertiseSettings()
    registry: RegistrySettings = RegistrySettings()
    serving: ServingSettings = ServingSettings()
    cassandra: CassandraSettings = CassandraSettings()
    paging_key: str = setting(
        "PAGING_KEY",
        "killrvideo",
        "Key of the checksum in paging tokens, the same on all instances. It guards against mistakes: a token opens nothing that is not public.",
        secret_file=True,
        repr=False,
    )
    latest_days: int = setting("LATEST_DAYS", 30, "Days that GetLatestVideoPreviews looks back.", ge=1, le=3650)
    host_ip: str | None = setting("HOST_IP", None, "Name that older compose files use for the address to advertise.")
    docker_ip: str | None = setting(
        "DOCKER_IP",
        None,
        "Name that older compose files use for the docker host: advertised, and where etcd is looked for.",
    )
    kafka_bootstrap_servers: str | None = setting(
        "KAFKA_BOOTSTRAP_SERVERS",
        None,
        "Accepted because older compose files set it. Not used: no events are published.",
    )

    @field_validator("host_ip", "docker_ip")
    @classmethod
    def _is_a_host(cls, value: str | None) -> str | None:
        return None if value is None else parse_host(value)

    @classmethod
    def load(cls, prefix: str = PREFIX, **values: object) -> Self:
        """The settings of this process, `values` by flat names before the environment; wrong ones end it with exit code 2, a sentence each.

        A variable whose name is misspelt is told on standard error, once in a process.
        """
        for sentence in misspelled(prefix, cls.variables(), os.environ):
            if sentence not in _told:
                _told.add(sentence)
                print(sentence, file=sys.stderr, flush=True)
        return super().load(prefix, **values)

    @classmethod
    def prepare(cls, given: dict[str, object]) -> dict[str, object]:
        """With what older names say, and what follows from our well-known names and ports."""
        return with_defaults(given)
