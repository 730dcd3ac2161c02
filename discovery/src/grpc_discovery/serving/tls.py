"""The server's certificate, loaded again when its files have changed, so that a renewed one needs no restart."""

import logging
import ssl
from pathlib import Path

import grpc

from grpc_discovery.settings import TlsFiles

_log = logging.getLogger(__name__)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials of a server: its certificate and key; with a CA, callers must show a certificate signed by it.

    Raises OSError or ValueError with the reason when they cannot be used.
    """
    loader = CertificateLoader(files)
    return grpc.dynamic_ssl_server_credentials(
        loader.load(),
        loader.load_if_changed,  # type: ignore[arg-type]  # the stubs do not know that None is allowed
        require_client_authentication=files.ca is not None,
    )


class CertificateLoader:
    """Reads the files of a server's certificate, again only when one of them has changed in any way."""

    def __init__(self, files: TlsFiles) -> None:
        if files.certificate is None or files.key is None:
            raise ValueError("a server needs a certificate and its key")
        self._certificate, self._key, self._ca = files.certificate, files.key, files.ca
        self._loaded: list[object] = []

    def load(self) -> grpc.ServerCertificateConfiguration:
        """What the files hold now. Raises OSError or ValueError when it cannot be used, as while it is being written."""
        # Seen before it is read: a change in the meantime is found the next time.
        self._loaded = self._states()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Fails where key and certificate do not belong together. Without a password given, a key that asks for one would ask at the terminal.
        context.load_cert_chain(self._certificate, self._key, password=lambda: "")
        if self._ca:
            context.load_verify_locations(self._ca)
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        loaded = grpc.ssl_server_certificate_configuration([pair], self._ca.read_bytes() if self._ca else None)
        if self._states() != self._loaded:
            self._loaded = []
            raise ValueError("the files are being written")
        return loaded

    def load_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC at each handshake; None keeps what is in use."""
        if self._states() == self._loaded:
            return None
        try:
            loaded = self.load()
        except (OSError, ValueError) as error:
            _log.warning("the changed certificate cannot be used, the one in use stays: %s", error)
            return None
        _log.info("the server's certificate was loaded again")
        return loaded

    def _states(self) -> list[object]:
        return [_state_of(path) for path in (self._certificate, self._key, self._ca) if path]


def _state_of(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
