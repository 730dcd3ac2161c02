"""etcd that speaks TLS only and asks its callers for a certificate."""

from pathlib import Path

import pytest

from grpc_discovery.registry.etcd_v2 import EtcdV2
from grpc_discovery.registry.etcd_v3 import EtcdV3
from grpc_discovery.registry.factory import open_registry
from grpc_discovery.registry.interface import RegistryUnavailable
from grpc_discovery.settings import Settings
from infra.etcd import Etcd, MemberTls
from infra.ports import free_port
from tests.security.certificates import Authority

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("discovery", ["etcd-v2", "etcd-v3", "auto"])
async def test_the_registry_shows_its_certificate_and_checks_that_of_etcd(discovery: str, tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    authority, stranger = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "theirs", "theirs")
    served, shown = authority.sign("etcd"), authority.sign("caller")
    tls = MemberTls(served.certificate, served.key, authority.certificate)
    with Etcd(tmp_path / "etcd", free_port(), tls=tls) as etcd:
        values = {
            "etcd": etcd.address,
            "discovery": discovery,
            "etcd_ca": authority.certificate,
            "etcd_certificate": shown.certificate,
            "etcd_key": shown.key,
        }
        settings = Settings.from_environment("TEST_", {}, **values)
        registry = await open_registry(settings.registry)
        assert isinstance(registry, EtcdV3 if discovery == "etcd-v3" else EtcdV2)
        await registry.advertise("Greeter", "a", "h:1", 10)
        assert await registry.renew("Greeter", "a", "h:1", 10)
        assert await registry.list("Greeter") == {"a": "h:1"}
        await registry.withdraw("Greeter", "a", "h:1")
        await registry.close()
        if discovery != "auto":
            deceived = await open_registry(settings.replace(etcd_ca=stranger.certificate).registry)
            with pytest.raises(RegistryUnavailable):
                await deceived.list("Greeter")
            await deceived.close()
