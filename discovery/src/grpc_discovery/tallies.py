"""What the parts of the library count, and which of them live now. Plain Python: who reads it, if anybody, does so from time to time."""

from collections import Counter
from typing import Any
from weakref import WeakSet

RETRIES: Counter[str] = Counter()
"""Calls made again on another instance, by the service's name in the registry."""
EJECTIONS: Counter[tuple[str, str]] = Counter()
"""Ejected instances, by service and reason."""
REGISTRATION_FAILURES: Counter[str] = Counter()
"""Attempts to put an entry into the registry or to renew it that failed, by service."""

LIVING: WeakSet[Any] = WeakSet()
"""Pools, resolvers, registrations, interceptors and followers of dependencies that are in use, each added by itself and gone by itself."""
