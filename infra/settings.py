"""Settings of the machine that runs everything, beside those of the services: one class, so that one look at the environment checks both."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from common.settings import PREFIX, Settings

LAST_OFFSET = 56_000
"""The highest offset with which the last service's 99 instances still have ports below 65536."""


class InfraSettings(Settings):
    """What `make run` and its companions read. `cassandra_port` is the services' setting of that name."""

    etcd_port: int = Field(2379, ge=1, le=65_535, description="Port of the etcd that `make run` starts.")
    etcd_peer_port: int = Field(
        2380, ge=1, le=65_535, description="Port on which that etcd would talk to others of its kind."
    )
    cassandra_storage_port: int = Field(
        7000, ge=1, le=65_535, description="Port on which the Cassandra of `make run` would talk to other nodes."
    )
    cassandra_heap: int = Field(1024, ge=256, le=32_768, description="Heap of that Cassandra in MB.")
    port_offset: int = Field(
        0,
        ge=0,
        le=LAST_OFFSET,
        description="Added to every service's port by `make run`, in whole hundreds, so that two copies fit on one machine.",
    )

    discovery: Literal["auto", "etcd-v2", "etcd-v3", "etcd"] = Field(
        "auto", description="As for the services, but what `make run` starts is advertised in its etcd in any case."
    )

    @model_validator(mode="after")
    def _without_tls(self) -> Self:
        if self.grpc_certificate:
            raise ValueError(
                f"`make run` and its companions call the services without TLS: leave {PREFIX}GRPC_CERTIFICATE empty for them"
            )
        return self

    @field_validator("port_offset")
    @classmethod
    def _whole_hundreds(cls, value: int) -> int:
        if value % 100:
            raise ValueError("must be a multiple of 100")
        return value


def misspelled(names: Iterable[str]) -> list[str]:
    """A sentence for each name that is almost that of a setting: what stands behind it would be ignored in silence."""
    known = [name.upper() for name in InfraSettings.model_fields]
    given = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX) and name != "KILLRVIDEO_LOCAL"]
    # Names that are like no setting are left alone: older compose files and Kubernetes bring some.
    return [
        f"{PREFIX}{name} is no setting and is ignored; is {PREFIX}{meant[0]} meant?"
        for name in given
        if name.removesuffix("_FILE") not in known and (meant := get_close_matches(name, known, 1, 0.8))
    ]
