"""Where entries lie in etcd: `<root>/<service>/<instance>`, and nothing else is ever written."""

import random
import time

from grpc_discovery.addresses import check_instance_name, check_service_name


def directory_of(root: str, service: str) -> str:
    """The path below which a service's entries lie. Raises ValueError for a name that cannot be one."""
    return f"{root}/{check_service_name(service)}"


def path_of(root: str, service: str, instance: str) -> str:
    """The path of one entry. Raises ValueError for a name that cannot be one."""
    return f"{directory_of(root, service)}/{check_instance_name(instance)}"


def is_service_name(name: str) -> bool:
    """Whether a name found below the root can be one of a service."""
    try:
        return bool(check_service_name(name))
    except ValueError:
        return False


class Settling:
    """How long to wait after a change before reading: a burst of changes, as in a restart of many instances, is read a few times, not each alone."""

    def __init__(self, first: float, more: float) -> None:
        """`first`: seconds after a change that follows 2 s of quiet; `more`: after one that follows another closely. Both with jitter."""
        self._first, self._more = first, more
        self._changed_at = 0.0

    def seconds(self) -> float:
        """The seconds to wait after the change that has just been seen."""
        before, self._changed_at = self._changed_at, time.monotonic()
        return (self._first if self._changed_at - before > 2.0 else self._more) * random.uniform(0.7, 1.3)
