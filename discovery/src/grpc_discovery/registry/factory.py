"""Choosing the registry that the settings ask for, and opening it: at once, or in the background."""

import asyncio
import logging
import random
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import aclosing

from grpc_discovery.addresses import Address, printable
from grpc_discovery.environment import SettingsError
from grpc_discovery.registry.interface import Instances, Names, Registry, RegistryUnavailable
from grpc_discovery.registry.read_only import Dns, Static
from grpc_discovery.settings import EtcdSettings, RegistrySettings, TlsFiles
from grpc_discovery.tasks import cancel_and_wait

_REQUEST_SECONDS = 3.0
_ASK_AGAIN_SECONDS = (0.3, 1.0)
_OPEN_AGAIN_SECONDS = (2.0, 4.0)

_log = logging.getLogger(__name__)


async def open_registry(settings: RegistrySettings) -> Registry:
    """The registry of the settings. `auto` waits, without end, until etcd can be asked which interface it offers, and logs what for.

    Raises SettingsError for TLS files that cannot be used, and ModuleNotFoundError where a package of an extra is missing.
    """
    if settings.kind == "static":
        return Static(settings)
    if settings.kind == "dns":
        return Dns(settings)
    context = _tls_context(settings.etcd.tls)
    if settings.etcd.user and not context and not all(member.is_loopback for member in settings.etcd.members):
        _log.warning("the password for etcd goes over the network without TLS: whoever can read there can use it")
    offers_v2 = settings.kind == "etcd-v2"
    if settings.kind in ("auto", "etcd"):
        offers_v2 = await _ask_which(settings.etcd, context)
        _log.info("etcd offers %s", "its v2 keys" if offers_v2 else "v3 only")
    # Imported only when chosen: what the other needs takes up to 5 MB and a tenth of a second.
    if offers_v2:
        try:
            from grpc_discovery.registry.etcd_v2 import EtcdV2
        except ModuleNotFoundError as error:
            hint = "pip install grpc-discovery[etcd-v2]"
            raise ModuleNotFoundError(f"etcd's v2 keys need python-etcd: {hint}") from error
        return EtcdV2(settings)
    from grpc_discovery.registry.etcd_v3 import EtcdV3

    return EtcdV3(settings)


class OpeningRegistry:
    """A Registry that opens the one of the settings, again and again until it succeeds, and is away until then. To be made in a running loop.

    What is waited for stands in the log. Settings that cannot be used (a CA file without a certificate) do not end it either: the file may
    be put right; they are logged as an error, once a reason.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._opened: Registry | None = None
        self.problem = "it is being opened"
        if settings.kind.startswith(("auto", "etcd")):
            self.problem = f"etcd at {settings.etcd.addresses} has not answered yet"
        """Why it is not open; empty when it is."""
        self._opening = asyncio.create_task(self._open(settings), name="open the registry")

    async def wait_open(self) -> Registry:
        """The registry itself; waits without end until it is open."""
        await asyncio.shield(self._opening)
        return self._get()

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        await self._get().advertise(service, instance, address, ttl)

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        return await self._get().renew(service, instance, address, ttl)

    async def withdraw(self, service: str, instance: str, address: str) -> None:
        await self._get().withdraw(service, instance, address)

    async def list(self, service: str) -> Instances:
        return await self._get().list(service)

    async def watch(self, service: str) -> AsyncGenerator[Instances]:
        async with aclosing(self._get().watch(service)) as lists:
            async for instances in lists:
                yield instances

    async def names(self) -> Names:
        return await self._get().names()

    async def close(self) -> None:
        await cancel_and_wait([self._opening])
        if self._opened:
            await self._opened.close()

    def _get(self) -> Registry:
        if self._opened is None:
            raise RegistryUnavailable(f"the registry is not open yet: {self.problem}")
        return self._opened

    async def _open(self, settings: RegistrySettings) -> None:
        while not self._opened:
            try:
                self._opened, self.problem = await open_registry(settings), ""
            except Exception as error:
                # Whatever it is: nobody else would tell of it.
                if str(error) != self.problem:
                    self.problem = str(error)
                    _log.error("the registry cannot be opened: %s", error)
                await asyncio.sleep(random.uniform(*_OPEN_AGAIN_SECONDS))


def _tls_context(files: TlsFiles) -> ssl.SSLContext | None:
    """What the files mean to Python's own TLS; None where none is named. Raises SettingsError if they hold no certificate or no key."""
    if not files.given:
        return None
    try:
        context = ssl.create_default_context(cafile=files.ca)
        if files.certificate and files.key:
            context.load_cert_chain(files.certificate, files.key)
    except (OSError, ValueError) as error:
        named = ", ".join(str(path) for path in (files.ca, files.certificate, files.key) if path)
        raise SettingsError(f"the TLS files for etcd cannot be used ({named}): {error}") from error
    return context


async def _ask_which(etcd: EtcdSettings, context: ssl.SSLContext | None) -> bool:
    """Whether etcd offers its v2 keys, asked of one member after the other until one answers."""
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
        await asyncio.sleep(random.uniform(*_ASK_AGAIN_SECONDS))


def _offers_v2(member: Address, context: ssl.SSLContext | None) -> bool:
    """Ask one member. Any answer of the v2 keys but 404 means that they are there, also one that asks for a user."""
    url = f"{'https' if context else 'http'}://{member}"
    # Without the proxy of the environment: etcd is inside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    # Another program on etcd's port would answer 404 as well, so etcd has to say first that it is one.
    with opener.open(f"{url}/version", timeout=_REQUEST_SECONDS) as answer:
        if b"etcdserver" not in answer.read():
            raise ValueError("it answers, but not as etcd does")
    try:
        with opener.open(f"{url}/v2/keys/", timeout=_REQUEST_SECONDS):
            return True
    except urllib.error.HTTPError as refusal:
        if refusal.code >= 500:
            raise
        return refusal.code != 404
