"""The settings of a process that advertises, serves or calls: nested frozen models, each read by the part that needs it.

Each field says by which name it is read from the environment (environment.py). A program with settings of its own subclasses Settings and adds
sections or fields in the same way; to change a default, it subclasses the section.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, Self

import grpc
from pydantic import SecretStr, field_validator, model_validator

from grpc_discovery.addresses import (
    Address,
    check_instance_name,
    is_loopback,
    parse_address,
    parse_addresses,
    parse_host,
    parse_named_lists,
)
from grpc_discovery.environment import EnvironmentSettings, Section, setting, variable_of


def _parsed_by(parse: Callable[[str], object]) -> Callable[[str], str]:
    """A validator that keeps a text as it is where `parse` takes it; an empty one says nothing."""

    def checked(text: str) -> str:
        if text:
            parse(text)
        return text

    return checked


def _parse_lists_of_addresses(text: str, default_port: int | None = None) -> None:
    for addresses in parse_named_lists(text).values():
        parse_addresses(addresses, default_port)


class TlsFiles(Section):
    """PEM files of one side of TLS: the CA that the other side is checked against, and our own certificate with its key."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def given(self) -> bool:
        """Whether any file is named, which means: TLS."""
        return bool(self.ca or self.certificate)

    @model_validator(mode="after")
    def _complete_and_readable(self) -> Self:
        variables = {name: f"{{prefix}}{variable_of(field)}" for name, field in type(self).model_fields.items()}
        if (self.certificate is None) != (self.key is None):
            raise ValueError(f"{variables['certificate']} and {variables['key']} go together")
        for name, path in self:
            if path and not os.path.isfile(path):
                raise ValueError(f"{variables[name]} names no file: {path}")
            if path and not os.access(path, os.R_OK):
                raise ValueError(f"{variables[name]} cannot be read by this user: {path}")
        return self

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """The credentials of a caller; None where no file is named, which means: without TLS. Raises OSError."""
        if not self.given:
            return None
        ca, key, certificate = (path.read_bytes() if path else None for path in (self.ca, self.key, self.certificate))
        return grpc.ssl_channel_credentials(ca, key, certificate)


class ServerTls(TlsFiles):
    """TLS of a server."""

    ca: Path | None = setting("GRPC_CLIENT_CA", None)
    """CA certificate (PEM file); given to a server: callers must show a certificate signed by it."""
    certificate: Path | None = setting("GRPC_CERTIFICATE", None)
    """Certificate (PEM file) of the server. Given: calls are taken with TLS only."""
    key: Path | None = setting("GRPC_KEY", None)
    """Private key of the server's certificate."""


class ListenSettings(Section):
    """Where a server listens."""

    host: str = setting("LISTEN_HOST", "127.0.0.1")
    """Address to bind. 0.0.0.0 or :: (all interfaces) in containers."""
    port: int | None = setting("LISTEN_PORT", None, ge=1, le=65_535)
    """Port to bind. Default: the one that the program names."""
    tls: ServerTls = ServerTls()

    _host_is_one = field_validator("host")(parse_host)


class AdvertiseSettings(Section):
    """What is advertised, and for how long."""

    host: str | None = setting("SERVICE_HOST", None)
    """Address to advertise. Default: the bound one, or where all interfaces are bound the machine's own in a container and 127.0.0.1 elsewhere."""
    port: int | None = setting("SERVICE_PORT", None, ge=1, le=65_535)
    """Port to advertise. Default: the bound one."""
    instance: str | None = setting("INSTANCE", None)
    """Name of this instance in the registry. Default: `host:port` as advertised."""
    ttl: float = setting("TTL", 10.0, ge=1, le=3600)
    """Seconds a registration lives without being renewed. Renewed every third of it."""
    withdraw_wait: float = setting("WITHDRAW_WAIT", 1.0, ge=0, le=60)
    """Seconds between leaving the registry and refusing new calls, for callers to see it."""

    _host_is_one = field_validator("host")(lambda host: host and parse_host(host))
    _instance_is_a_name = field_validator("instance")(_parsed_by(check_instance_name))


class EtcdTls(TlsFiles):
    """TLS to etcd."""

    ca: Path | None = setting("ETCD_CA", None)
    """CA certificate (PEM file) that etcd's certificate is checked against. Given: TLS."""
    certificate: Path | None = setting("ETCD_CERTIFICATE", None)
    """Client certificate (PEM file) shown to etcd."""
    key: Path | None = setting("ETCD_KEY", None)
    """Private key of the client certificate shown to etcd."""


class EtcdSettings(Section):
    """Where etcd is, and as whom it is asked."""

    addresses: str = setting("ETCD", "127.0.0.1:2379")
    """etcd's addresses, `host:port`, several with commas."""
    username: str | None = setting("ETCD_USERNAME", None, secret_file=True)
    """User of etcd, if it asks for one."""
    password: SecretStr | None = setting("ETCD_PASSWORD", None, secret_file=True)
    """Password of etcd."""
    tls: EtcdTls = EtcdTls()

    _addresses_are_some = field_validator("addresses")(_parsed_by(partial(parse_addresses, default_port=2379)))

    @property
    def members(self) -> list[Address]:
        """The addresses, read."""
        return parse_addresses(self.addresses, 2379)

    @property
    def user(self) -> tuple[str, str] | None:
        """Name and password, where both are given."""
        return (self.username, self.password.get_secret_value()) if self.username and self.password else None


class DnsSettings(Section):
    """For a registry that is DNS."""

    names: str = setting("DNS_NAMES", "")
    """For discovery=dns: `Greeter=greeter.example:8080;…`. A name without a port is looked up as SRV."""
    interval: float = setting("DNS_INTERVAL", 5.0, ge=0.1, le=3600)
    """For discovery=dns: seconds between two look-ups."""
    server: str = setting("DNS_SERVER", "")
    """For discovery=dns: the name server to ask, `host:port`. Default: the machine's own."""

    # The port stands for "not given": such a name is looked up as SRV.
    _names_are_lists = field_validator("names")(_parsed_by(partial(_parse_lists_of_addresses, default_port=1)))
    _server_is_one = field_validator("server")(_parsed_by(partial(parse_address, default_port=53)))


class RegistrySettings(Section):
    """Which registry, and where in it the entries lie."""

    kind: Literal["auto", "etcd-v2", "etcd-v3", "etcd", "dns", "static"] = setting("DISCOVERY", "auto")
    """How services are found. `auto` (or `etcd`) asks etcd which API it offers and takes v2 where it can."""
    root: str = setting("REGISTRY_ROOT", "/services", pattern=r"^(/[A-Za-z0-9][A-Za-z0-9._-]*)+$")
    """Path in etcd below which the entries lie, as `<root>/<name>/<instance>`."""
    names: Literal["full", "short"] = setting("REGISTRY_NAMES", "full")
    """Names in the registry: `full` (acme.greeter.v1.Greeter) or `short` (Greeter, the last part)."""
    etcd: EtcdSettings = EtcdSettings()
    dns: DnsSettings = DnsSettings()
    static: str = setting("STATIC_SERVICES", "")
    """For discovery=static: `Greeter=127.0.0.1:8101,127.0.0.1:8102;Clock=[::1]:8201`."""

    _static_is_lists = field_validator("static")(_parsed_by(_parse_lists_of_addresses))

    def name_of(self, service: str) -> str:
        """The name in the registry of a service that is given by its full or its short name."""
        return service.rpartition(".")[2] if self.names == "short" else service


class CallerTls(TlsFiles):
    """TLS to the services."""

    ca: Path | None = setting("CLIENT_CA", None)
    """CA certificate (PEM file) that the services' certificates are checked against. Given: calls are made with TLS."""
    certificate: Path | None = setting("CLIENT_CERTIFICATE", None)
    """Client certificate (PEM file) shown to the services."""
    key: Path | None = setting("CLIENT_KEY", None)
    """Private key of the client certificate shown to the services."""


class CallerSettings(Section):
    """How calls are made."""

    timeout: float = setting("CALL_TIMEOUT", 5.0, gt=0, le=600)
    """Seconds a caller waits for an answer where it does not say how long; for a stream, seconds until it begins."""
    empty_wait: float = setting("CLIENT_EMPTY_WAIT", 15.0, ge=0, le=3600)
    """Seconds the registry must say that a service has no instances until a caller believes it; more than a TTL, so that a wiped registry fills again first."""
    cache: Path | None = setting("CLIENT_CACHE", None)
    """File in which a caller keeps the last known instances, for a start while the registry is away."""
    max_endpoints: int = setting("CLIENT_MAX_ENDPOINTS", 20, ge=1, le=1000)
    """Instances of one service that a caller keeps connections to. Of more it takes a subset, each caller another."""
    tls: CallerTls = CallerTls()
    server_name: str | None = setting("CLIENT_SERVER_NAME", None)
    """Name that the services' certificates must hold, where it is not their address."""
    token: SecretStr | None = setting("CLIENT_TOKEN", None, secret_file=True)
    """Token that calls carry, as `authorization: Bearer …`. Only with TLS."""

    @model_validator(mode="after")
    def _token_only_with_tls(self) -> Self:
        if self.token and not self.tls.given:
            raise ValueError("{prefix}CLIENT_TOKEN is sent only with TLS: set {prefix}CLIENT_CA")
        return self


class ServingSettings(Section):
    """How a server takes calls."""

    max_calls: int = setting("MAX_CALLS", 512, ge=1)
    """Calls that one process works on at once; beyond it RESOURCE_EXHAUSTED."""
    max_request: int = setting("MAX_REQUEST", 4_194_304, ge=1, le=4_194_304)
    """Bytes of a request; a larger one is INVALID_ARGUMENT. gRPC itself refuses one above 4 MiB, with RESOURCE_EXHAUSTED."""
    slow_call: float = setting("SLOW_CALL", 1.0, gt=0)
    """Seconds after which a call is logged as slow."""
    drain: float = setting("DRAIN", 6.0, gt=0, le=600)
    """Seconds that calls under way may still take when the process stops."""
    reflection: bool = setting("REFLECTION", True)
    """Offer server reflection, so that tools can list and make calls."""


METRICS_PORT_OFFSET = 1_000
"""How far above the port of a server that of its metrics is, where no other is set."""


class TelemetrySettings(Section):
    """What can be seen of a process from outside: metrics and traces."""

    metrics_port: int | None = setting("METRICS_PORT", None, ge=0, le=65_535)
    """Port of /metrics and /summary, over HTTP. Default: the one that the server listens on, plus 1,000. 0: none, and nothing is measured."""
    metrics_host: str = setting("METRICS_HOST", "127.0.0.1")
    """Address that /metrics and /summary are bound to."""
    trace_ratio: float = setting("TRACE_RATIO", 0.01, ge=0, le=1)
    """Share of the calls that are traced, of those whose caller has not decided it; they are sent where OTEL_EXPORTER_OTLP_ENDPOINT says."""
    trace_to_callers: bool | None = setting("TRACE_TO_CALLERS", None)
    """Whether callers who ask for it are told what their call did, statement by statement. Default: only where the server listens on loopback."""

    _host_is_one = field_validator("metrics_host")(parse_host)

    @property
    def is_measured(self) -> bool:
        """Whether anything is measured."""
        return self.metrics_port != 0


class LogSettings(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = setting("LOGGING_LEVEL", "info")
    """Least level of log lines."""
    format: Literal["text", "json"] = setting("LOGGING_FORMAT", "text")
    """Log lines for people, or one JSON object a line."""

    @field_validator("level", mode="before")
    @classmethod
    def _other_names(cls, value: object) -> object:
        """Names that other libraries have for the same levels, such as `verbose`, `silly` and `DEBUG`, in any case."""
        lowered = str(value).lower()
        others = {"verbose": "debug", "silly": "debug", "trace": "debug", "notset": "debug", "information": "info"}
        others |= {"warn": "warning", "critical": "error", "fatal": "error"}
        return others.get(lowered, lowered)


class Settings(EnvironmentSettings):
    """All settings of a process that serves, of its callers and of the tools."""

    listen: ListenSettings = ListenSettings()
    advertise: AdvertiseSettings = AdvertiseSettings()
    registry: RegistrySettings = RegistrySettings()
    caller: CallerSettings = CallerSettings()
    serving: ServingSettings = ServingSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    logs: LogSettings = LogSettings()

    @property
    def tells_callers(self) -> bool:
        """Whether callers who ask are told what their call did."""
        chosen = self.telemetry.trace_to_callers
        return is_loopback(self.listen.host) if chosen is None else chosen
