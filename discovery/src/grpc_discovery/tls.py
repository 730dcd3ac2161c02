"""The PEM files of TLS, checked once and for all uses alike."""

import os
from pathlib import Path
from typing import Self

import grpc
from pydantic import model_validator

from grpc_discovery.environment import Section, variable_of


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
        names = {name: variable_of(field) or name for name, field in type(self).model_fields.items()}
        if (self.certificate is None) != (self.key is None):
            raise ValueError(f"{{prefix}}{names['certificate']} and {{prefix}}{names['key']} go together")
        for name in ("ca", "certificate", "key"):
            path: Path | None = getattr(self, name)
            if path is None:
                continue
            if not path.is_file():
                raise ValueError(f"{{prefix}}{names[name]} names no file: {path}")
            if not os.access(path, os.R_OK):
                raise ValueError(f"{{prefix}}{names[name]} cannot be read by this user: {path}")
        return self

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """The credentials of a caller; None where no file is named, which means: without TLS."""
        if not self.given:
            return None
        ca, key, certificate = (path.read_bytes() if path else None for path in (self.ca, self.key, self.certificate))
        return grpc.ssl_channel_credentials(ca, key, certificate)
