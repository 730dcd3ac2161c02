"""The settings of every process, read from the environment (prefix KILLRVIDEO_) once, at start, and never changed.

The README's table is generated from the descriptions here. Names that earlier backends used are kept (contract, section 6).
A secret may be given as a file: KILLRVIDEO_DSE_PASSWORD_FILE=/run/secrets/password stands for KILLRVIDEO_DSE_PASSWORD.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "KILLRVIDEO_"


class Settings(BaseSettings):
    """All settings of a service, its tools and its callers."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    # Where a service listens, and the address it advertises
    listen_host: str = Field("127.0.0.1", description="Address to bind. 0.0.0.0 in containers.")
    listen_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Port to bind. Default: the service's own port, or 8899 for several in one process.",
    )
    service_host: str | None = Field(
        None,
        description="Address to advertise. Default: KILLRVIDEO_HOST_IP, else KILLRVIDEO_DOCKER_IP, else in a container its own address, else the bound one.",
    )
    service_port: int | None = Field(None, ge=1, le=65_535, description="Port to advertise. Default: the bound one.")
    host_ip: str | None = Field(None, description="Name that older compose files use for the address to advertise.")
    docker_ip: str | None = Field(
        None,
        description="Name that older compose files use for the docker host: advertised, and where etcd is looked for.",
    )
    instance: str | None = Field(
        None,
        description="Name of this instance in the registry. Default: `host:port` as advertised. `killrvideo-python` gives the keys of the article.",
    )

    # The registry
    discovery: Literal["auto", "etcd-v2", "etcd-v3", "etcd", "dns", "static"] = Field(
        "auto",
        description="How services are found. `auto` (or `etcd`) asks etcd which API it offers and takes v2 where it can.",
    )
    etcd: str = Field(
        "",
        description="etcd's addresses, `host:port`, several with commas. Default: KILLRVIDEO_DOCKER_IP:2379, else 127.0.0.1:2379.",
    )
    etcd_username: str | None = Field(None, description="User of etcd, if it asks for one.")
    etcd_password: SecretStr | None = Field(None, description="Password of etcd.")
    etcd_ca: Path | None = Field(
        None, description="CA certificate (PEM file) that etcd's certificate is checked against. Given: TLS."
    )
    etcd_certificate: Path | None = Field(None, description="Client certificate (PEM file) shown to etcd.")
    etcd_key: Path | None = Field(None, description="Private key of the client certificate shown to etcd.")
    ttl: float = Field(
        10.0,
        ge=1,
        le=3600,
        description="Seconds a registration lives without being renewed. Renewed every third of it.",
    )
    static_services: str = Field(
        "",
        description="For discovery=static: `CommentsService=127.0.0.1:8101,127.0.0.1:8102;RatingsService=…`. A service left out is looked for at its own port on KILLRVIDEO_SERVICE_HOST or 127.0.0.1.",
    )
    dns_names: str = Field(
        "",
        description="For discovery=dns: `CommentsService=comments:8101;…`. A name without a port is looked up as SRV. Default: each service's short name with its port.",
    )
    dns_interval: float = Field(5.0, ge=0.1, le=3600, description="For discovery=dns: seconds between two look-ups.")
    dns_server: str = Field(
        "", description="For discovery=dns: the name server to ask, `host:port`. Default: the machine's own."
    )

    # Cassandra
    dse_contact_points: str = Field(
        "",
        description="Cassandra's addresses, with commas, each `host` or `host:port`. Empty: looked up in the registry under `cassandra`.",
    )
    dse_username: str | None = Field(None, description="User of Cassandra, if it asks for one.")
    dse_password: SecretStr | None = Field(None, description="Password of Cassandra.")
    enable_ssl: bool = Field(False, description="TLS to Cassandra.")
    ssl_certificate: Path | None = Field(
        None, description="CA certificate (PEM file) that Cassandra's certificate is checked against."
    )
    ssl_client_certificate: Path | None = Field(None, description="Client certificate (PEM file) shown to Cassandra.")
    ssl_client_key: Path | None = Field(None, description="Private key of the client certificate shown to Cassandra.")
    cassandra_port: int = Field(9042, ge=1, le=65_535, description="Port of contact points that name none.")
    cassandra_driver: Literal["auto", "cassandra-driver", "acsylla"] = Field(
        "auto", description="Library that talks to Cassandra. `auto` is the project's choice (docs/decisions/)."
    )
    cassandra_keyspace: str = Field(
        "killrvideo", pattern=r"^[a-z][a-z0-9_]{0,47}$", description="Keyspace of the data."
    )
    cassandra_advertised: str = Field(
        "",
        description="`host:port` under which the schema step advertises Cassandra. Default: the first contact point.",
    )
    cassandra_datacenter: str | None = Field(
        None, description="Data centre to talk to. Default: that of the first contact point."
    )
    cassandra_replication: str = Field(
        "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        description="Replication of the keyspace when the schema step creates it, as CQL.",
    )
    cassandra_read_consistency: Literal["LOCAL_QUORUM", "LOCAL_ONE"] = Field(
        "LOCAL_QUORUM",
        description="LOCAL_ONE reads from one replica: faster, but then one may not read what one has just written.",
    )
    database_timeout: float = Field(
        5.0, gt=0, le=120, description="Seconds a statement may take at most; a call's deadline shortens it."
    )

    # Calls
    max_calls: int = Field(
        512, ge=1, description="Calls that one process works on at once; beyond it RESOURCE_EXHAUSTED."
    )
    slow_call: float = Field(1.0, gt=0, description="Seconds after which a call is logged as slow.")
    paging_key: str = Field(
        "killrvideo",
        min_length=1,
        description="Key of the checksum in paging tokens, the same on all instances. It guards against mistakes: a token opens nothing that is not public.",
    )
    latest_days: int = Field(30, ge=1, le=3650, description="Days that GetLatestVideoPreviews looks back.")
    grpc_certificate: Path | None = Field(
        None, description="Certificate (PEM file) of the server. Given: calls are taken with TLS only."
    )
    grpc_key: Path | None = Field(None, description="Private key of the server's certificate.")
    grpc_client_ca: Path | None = Field(
        None, description="CA certificate (PEM file); given to a server: callers must show a certificate signed by it."
    )

    # Calling (client/)
    call_timeout: float = Field(
        5.0, gt=0, le=600, description="Seconds a caller waits for an answer where it does not say how long."
    )
    client_empty_wait: float = Field(
        15.0,
        ge=0,
        le=3600,
        description="Seconds the registry must say that a service has no instances until a caller believes it; more than a TTL, so that a wiped registry fills again first.",
    )
    client_cache: Path | None = Field(
        None,
        description="File in which a caller keeps the last known instances, for a start while the registry is away.",
    )
    client_ca: Path | None = Field(
        None,
        description="CA certificate (PEM file) that the services' certificates are checked against. Given: calls are made with TLS.",
    )
    client_certificate: Path | None = Field(None, description="Client certificate (PEM file) shown to the services.")
    client_key: Path | None = Field(None, description="Private key of the client certificate shown to the services.")
    client_server_name: str | None = Field(
        None, description="Name that the services' certificates must hold, where it is not their address."
    )
    client_token: SecretStr | None = Field(
        None, description="Token that calls carry, as `authorization: Bearer …`. Only with TLS."
    )

    # Stopping
    withdraw_wait: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Seconds between leaving the registry and refusing new calls, for callers to see it.",
    )
    drain: float = Field(
        6.0, gt=0, le=600, description="Seconds that calls under way may still take when the process stops."
    )

    # Logs
    logging_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level of log lines.")
    logging_format: Literal["text", "json"] = Field(
        "text", description="Log lines for people, or one JSON object a line."
    )

    kafka_bootstrap_servers: str | None = Field(
        None, description="Accepted because older compose files set it. Not used: no events are published."
    )

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment. A bad value ends the program with one sentence that names the setting, the value and what is allowed."""
        try:
            values: dict[str, Any] = {**secrets_from_files(os.environ), **overrides}
            return cls(**values)
        except ValidationError as error:
            for fault in error.errors():
                reason = fault["msg"].removeprefix("Value error, ")
                if not fault[
                    "loc"
                ]:  # settings that do not go together: the reason names them, and the input would show secrets
                    print(f"wrong settings: {reason}", file=sys.stderr)
                    continue
                name = str(fault["loc"][0])
                value = "(hidden)" if "password" in name else repr(fault["input"])
                print(f"wrong setting {PREFIX}{name.upper()}={value}: {reason}", file=sys.stderr)
        except OSError as error:
            print(f"a secret's file cannot be read: {error}", file=sys.stderr)
        raise SystemExit(2)

    @field_validator("logging_level", mode="before")
    @classmethod
    def _older_level_names(cls, value: object) -> object:
        """Earlier backends took the names of their own libraries, such as `verbose`, `silly` and `DEBUG`."""
        lowered = value.lower() if isinstance(value, str) else value
        older = {"verbose": "debug", "silly": "debug", "trace": "debug", "notset": "debug", "information": "info"}
        older |= {"warn": "warning", "critical": "error", "fatal": "error"}
        return older.get(str(lowered), lowered)

    @field_validator("etcd", "dse_contact_points", "cassandra_advertised", "dns_server")
    @classmethod
    def _addresses(cls, value: str) -> str:
        host_ports(value, 1)
        return value

    @field_validator("static_services", "dns_names")
    @classmethod
    def _named_lists(cls, value: str) -> str:
        for addresses in named_lists(value).values():
            host_ports(addresses, 1)
        return value

    @field_validator("cassandra_replication")
    @classmethod
    def _replication_is_a_map(cls, value: str) -> str:
        """The text goes into a statement as it is, so only a map of plain names and numbers is taken."""
        if not re.fullmatch(r"\{(\s*'[\w.-]+'\s*:\s*('[\w.-]+'|\d+)\s*,?)+\s*\}", value):
            raise ValueError("is not a CQL map such as {'class': 'SimpleStrategy', 'replication_factor': 1}")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        for one, other in (
            ("grpc_certificate", "grpc_key"),
            ("etcd_certificate", "etcd_key"),
            ("ssl_client_certificate", "ssl_client_key"),
        ):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{PREFIX}{one.upper()} and {PREFIX}{other.upper()} go together")
        for name in (
            "grpc_certificate",
            "grpc_key",
            "grpc_client_ca",
            "etcd_ca",
            "etcd_certificate",
            "etcd_key",
            "ssl_certificate",
        ):
            path: Path | None = getattr(self, name)
            if name == "ssl_certificate" and not self.enable_ssl:
                continue  # older compose files name one also where it is not used
            if path is not None and not path.is_file():
                raise ValueError(f"{PREFIX}{name.upper()} names no file: {path}")
        if self.client_token and not (self.client_ca or self.client_certificate):
            raise ValueError(f"{PREFIX}CLIENT_TOKEN is sent only with TLS: set {PREFIX}CLIENT_CA")
        return self

    @property
    def etcd_hosts(self) -> list[tuple[str, int]]:
        """etcd's addresses as (host, port)."""
        return host_ports(self.etcd or f"{self.docker_ip or '127.0.0.1'}:2379", 2379)

    @property
    def contact_points(self) -> list[tuple[str, int]]:
        """Cassandra's addresses as (host, port); empty when the registry is to be asked."""
        return host_ports(self.dse_contact_points, self.cassandra_port)


def host_ports(text: str, default_port: int) -> list[tuple[str, int]]:
    """Addresses written with commas between, each `host` or `host:port`, as (host, port). Raises ValueError for a port that is none."""
    addresses = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        host, separator, port = part.rpartition(":")
        if separator and not (port.isdigit() and 0 < int(port) < 65_536):
            raise ValueError(f"is not host:port: {part!r}")
        addresses.append((host, int(port)) if separator else (part, default_port))
    return addresses


def named_lists(text: str) -> dict[str, str]:
    """`CommentsService=a:1,b:2;RatingsService=c` as {name: text behind the sign}. Raises ValueError for a part without a name."""
    lists = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, sign, addresses = part.partition("=")
        if not sign or not name.strip() or not addresses.strip():
            raise ValueError(f"is not Name=addresses: {part!r}")
        lists[name.strip()] = addresses.strip()
    return lists


def secrets_from_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings given as KILLRVIDEO_<NAME>_FILE: their names and the contents of the files, without the newline at the end."""
    secrets = {}
    for name in ("dse_username", "dse_password", "etcd_username", "etcd_password", "paging_key", "client_token"):
        path = environment.get(f"{PREFIX}{name.upper()}_FILE")
        if path:
            secrets[name] = Path(path).read_text().rstrip("\n")
    return secrets
