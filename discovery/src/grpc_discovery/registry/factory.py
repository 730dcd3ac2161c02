"""Choosing the registry that the settings ask for, and opening it."""

import asyncio
import logging
import random
import ssl
import urllib.error
import urllib.request

from grpc_discovery.addresses import Address, printable
from grpc_discovery.environment import SettingsError
from grpc_discovery.registry.interface import Registry
from grpc_discovery.registry.static import Static
from grpc_discovery.settings import EtcdSettings, RegistrySettings
from grpc_discovery.tls import TlsFiles

_REQUEST_SECONDS = 3.0
_PAUSE_SECONDS = (0.3, 1.0)

_log = logging.getLogger(__name__)


async def open_registry(settings: RegistrySettings) -> Registry:
    """The registry of the settings. `auto` waits, without end, until etcd can be asked which interface it offers, and logs what for.

    Raises SettingsError for TLS files that cannot be used, and ModuleNotFoundError where a package of an extra is missing.
    """
    # Imported only when chosen: what the others need takes up to 5 MB and a tenth of a second.
    match settings.kind:
        case "static":
            return Static(settings)
        case "dns":
            from grpc_discovery.registry.dns import Dns

            return Dns(settings)
        case "etcd-v2":
            offers_v2 = True
        case "etcd-v3":
            offers_v2 = False
        case _:
            offers_v2 = await _ask_which(settings.etcd)
            _log.info("etcd offers %s", "its v2 keys" if offers_v2 else "v3 only")
    tls_context(settings.etcd.tls)
    if offers_v2:
        from grpc_discovery.registry.etcd_v2 import EtcdV2

        return EtcdV2(settings)
    from grpc_discovery.registry.etcd_v3 import EtcdV3

    return EtcdV3(settings)


def tls_context(files: TlsFiles) -> ssl.SSLContext | None:
    """What the files mean to Python's own TLS; None where none is named. Raises SettingsError if they hold no certificate or no key."""
    if not files.given:
        return None
    try:
        context = ssl.create_default_context(cafile=str(files.ca) if files.ca else None)
        if files.certificate and files.key:
            context.load_cert_chain(files.certificate, files.key)
    except (OSError, ValueError) as error:
        named = ", ".join(str(path) for path in (files.ca, files.certificate, files.key) if path)
        raise SettingsError(f"the TLS files for etcd cannot be used ({named}): {error}") from error
    return context


async def _ask_which(etcd: EtcdSettings) -> bool:
    """Whether etcd offers its v2 keys, asked of one member after the other until one answers."""
    context = tls_context(etcd.tls)
    told: dict[Address, str] = {}
    while True:
        for member in etcd.members:
            try:
                return await asyncio.to_thread(_offers_v2, member, context)
            except (OSError, ValueError) as error:
                reason = printable(str(getattr(error, "reason", error)))
                if told.get(member) != reason:
                    told[member] = reason
                    _log.info("waiting for etcd at %s: %s", member, reason)
        await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))


def _offers_v2(member: Address, context: ssl.SSLContext | None) -> bool:
    """Ask one member. Any answer of the v2 keys but 404 means that they are there, also one that asks for a user."""
    scheme = "https" if context else "http"
    # Without the proxy of the environment: etcd is inside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    # Another program on etcd's port would answer 404 as well, so etcd has to say first that it is one.
    with opener.open(f"{scheme}://{member}/version", timeout=_REQUEST_SECONDS) as answer:
        if b"etcdserver" not in answer.read():
            raise ValueError("it answers, but not as etcd does")
    try:
        with opener.open(f"{scheme}://{member}/v2/keys/", timeout=_REQUEST_SECONDS):
            return True
    except urllib.error.HTTPError as refusal:
        if refusal.code >= 500:
            raise
        return refusal.code != 404
