"""A server's certificate is renewed without a restart, whatever the dates of its files are."""

import logging
import os
from pathlib import Path

import pytest

from grpc_discovery.serving.tls import CertificateLoader
from grpc_discovery.settings import ServerTls
from tests.security.certificates import Authority


def test_a_renewed_certificate_is_loaded_although_its_files_are_older(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path, "ours")
    used, renewed = authority.sign("server"), authority.sign("renewed")
    loader = CertificateLoader(ServerTls(certificate=used.certificate, key=used.key))
    loader.load()
    assert loader.load_if_changed() is None
    used.certificate.write_bytes(renewed.certificate.read_bytes())
    with caplog.at_level(logging.WARNING):
        assert loader.load_if_changed() is None, "its key is not there yet"
    assert "the one in use stays" in caplog.text
    used.key.write_bytes(renewed.key.read_bytes())
    for path in (used.certificate, used.key):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert loader.load_if_changed() is not None
    assert loader.load_if_changed() is None
