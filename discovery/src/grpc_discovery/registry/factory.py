"""Choosing the registry that the settings ask for."""

import asyncio
import logging
import random
import ssl
import urllib.error
import urllib.request

from common.registry.interface import Registry
from common.registry.static import Static
from common.settings import Settings

_ASK_SECONDS = 2.0
_PAUSE_SECONDS = (0.3, 1.0)

_log = logging.getLogger(__name__)


async def open_registry(settings: Settings) -> Registry:
    """The registry of the settings. `auto` waits, without end, until etcd can be asked which interface it offers."""
    # Imported only when chosen: what the others need takes up to 5 MB and a tenth of a second.
    match settings.discovery:
        case "static":
            return Static(settings)
        case "dns":
            from common.registry.dns import Dns

            return Dns(settings)
        case "etcd-v2":
            return _etcd(settings, v2=True)
        case "etcd-v3":
            return _etcd(settings, v2=False)
    offers_v2 = await _ask_which(settings)
    _log.info("etcd offers %s", "its v2 keys" if offers_v2 else "v3 only")
    return _etcd(settings, offers_v2)


def _etcd(settings: Settings, v2: bool) -> Registry:
    if v2:
        from common.registry.etcd_v2 import EtcdV2

        return EtcdV2(settings)
    from common.registry.etcd_v3 import EtcdV3

    return EtcdV3(settings)


async def _ask_which(settings: Settings) -> bool:
    """Whether etcd offers its v2 keys, asked of one member after the other until one answers."""
    waits = False
    while True:
        for host, port in settings.etcd_hosts:
            try:
                return await asyncio.to_thread(_offers_v2, settings, f"{host}:{port}")
            except (OSError, ValueError) as error:
                if not waits:
                    waits = True
                    _log.info("waiting for etcd at %s:%d: %s", host, port, error)
        await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))


def _offers_v2(settings: Settings, address: str) -> bool:
    """Ask one member. Any answer of the v2 keys but 404 means that they are there, also one that asks for a user."""
    scheme, context = "http", None
    if settings.etcd_ca or settings.etcd_certificate:
        scheme, context = (
            "https",
            ssl.create_default_context(cafile=str(settings.etcd_ca) if settings.etcd_ca else None),
        )
        if settings.etcd_certificate and settings.etcd_key:
            context.load_cert_chain(settings.etcd_certificate, settings.etcd_key)
    # Without the proxy of the environment: etcd is inside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    # Another program on etcd's port would answer 404 as well, so etcd has to say first that it is one.
    with opener.open(f"{scheme}://{address}/version", timeout=_ASK_SECONDS) as answer:
        if b"etcdserver" not in answer.read():
            raise ValueError("it answers, but not as etcd does")
    try:
        with opener.open(f"{scheme}://{address}/v2/keys/", timeout=_ASK_SECONDS):
            return True
    except urllib.error.HTTPError as refusal:
        if refusal.code >= 500:
            raise
        return refusal.code != 404
