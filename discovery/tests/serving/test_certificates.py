"""A server's certificate is renewed without a restart, whatever the dates of its files are."""

import asyncio
import logging
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from grpc_discovery.serving.server import bind, new_server
from grpc_discovery.serving.tls import CertificateLoader
from grpc_discovery.settings import ServerTls, Settings
from infra.ports import free_port
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
        assert loader.load_if_changed() is None
    assert caplog.text.count("the one in use stays") == 1, "told once"
    used.key.write_bytes(renewed.key.read_bytes())
    for path in (used.certificate, used.key):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert loader.load_if_changed() is not None
    assert loader.load_if_changed() is None


async def test_callers_see_the_renewed_certificate_without_a_restart(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    used, renewed = authority.sign("used"), authority.sign("renewed")
    settings = Settings.from_environment("TEST_", {}, grpc_certificate=used.certificate, grpc_key=used.key)
    server, _ = new_server(settings, "greeter")
    port = free_port()
    bind(server, settings, port)
    await server.start()
    trust = ssl.create_default_context(cafile=authority.certificate)

    async def shown() -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        subject: Any = writer.get_extra_info("peercert")["subject"]
        writer.close()
        return str(subject[0][0][1])

    assert await shown() == "used"
    used.key.write_bytes(renewed.key.read_bytes())
    assert await shown() == "used", "half of it is no certificate"
    used.certificate.write_bytes(renewed.certificate.read_bytes())
    for path in (used.certificate, used.key):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert await shown() == "renewed"
    await server.stop(None)
