"""Settings of the machine that runs everything, beside those of the services: one class, so that both are checked together."""

from typing import Literal, Self

from pydantic import field_validator, model_validator

from common.settings import RegistrySettings, Settings
from grpc_discovery import setting

LAST_OFFSET = 56_000
"""The highest offset with which the last service's 99 instances still have ports below 65536."""


class EtcdOnlySettings(RegistrySettings):
    """The registry of this machine, which is its own etcd."""

    kind: Literal["auto", "etcd-v2", "etcd-v3", "etcd"] = setting(
        "DISCOVERY", "auto", "As for the services, but what `make run` starts is advertised in its etcd in any case."
    )


class InfraSettings(Settings):
    """What the commands of `make` read. `cassandra.port` is the services' setting of that name."""

    registry: EtcdOnlySettings = EtcdOnlySettings()
    etcd_port: int = setting("ETCD_PORT", 2379, "Port of the etcd that `make run` starts.", ge=1, le=65_535)
    etcd_peer_port: int = setting(
        "ETCD_PEER_PORT", 2380, "Port on which that etcd would talk to others of its kind.", ge=1, le=65_535
    )
    cassandra_storage_port: int = setting(
        "CASSANDRA_STORAGE_PORT",
        7000,
        "Port on which the Cassandra of `make run` would talk to other nodes.",
        ge=1,
        le=65_535,
    )
    cassandra_heap: int = setting("CASSANDRA_HEAP", 1024, "Heap of that Cassandra in MB.", ge=256, le=32_768)
    port_offset: int = setting(
        "PORT_OFFSET",
        0,
        "Added to every service's port by `make run`, in whole hundreds, so that two copies fit on one machine.",
        ge=0,
        le=LAST_OFFSET,
    )

    @model_validator(mode="after")
    def _without_tls(self) -> Self:
        if self.listen.tls.given:
            raise ValueError(
                "`make run` and its companions call the services without TLS: leave {prefix}GRPC_CERTIFICATE empty for them"
            )
        return self

    @field_validator("port_offset")
    @classmethod
    def _whole_hundreds(cls, value: int) -> int:
        if value % 100:
            raise ValueError("must be a multiple of 100")
        return value
