"""The address under which a process is advertised."""

import logging
import os
from pathlib import Path

from grpc_discovery.addresses import Address, is_loopback, is_unspecified, own_address
from grpc_discovery.environment import SettingsError
from grpc_discovery.settings import Settings

_log = logging.getLogger(__name__)


def advertised_address(settings: Settings, port: int) -> Address:
    """The address to advertise for a server that is bound to `port`: the setting, or where it listens.

    Where it listens on all interfaces it is in a container the machine's own address, elsewhere 127.0.0.1. One that others cannot reach,
    although the server listens to them, is logged. Raises SettingsError for one that nobody can dial.
    """
    bound, host = settings.listen.host, settings.advertise.host
    if host is None:
        host = bound if not is_unspecified(bound) else own_address() if _in_container() else "127.0.0.1"
    address, variable = Address(host, settings.advertise.port or port), settings.variable("SERVICE_HOST")
    if is_unspecified(host):
        raise SettingsError(f"wrong setting {variable}={host!r}: nobody can dial it")
    if is_loopback(host) and not is_loopback(bound):
        _log.warning("the advertised address %s cannot be reached from elsewhere; %s sets another", address, variable)
    return address


def _in_container() -> bool:
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(mark.exists() for mark in marks)
