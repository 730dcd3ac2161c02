"""Passwords: argon2id for all, and the hashes that earlier backends left, accepted once more.

Hashing is the one call that costs much CPU, on purpose. It runs in a few threads of its own, fewer than the machine has cores, behind a
bounded queue: a storm of sign-ins slows sign-ins and nothing else.
"""

import asyncio
import hashlib
import hmac
import os
import re
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.caches import CacheSize, watch
from grpc_discovery import ResourceExhausted, time_left
from grpc_discovery.serving.deadlines import waited_too_long

MAX_AT_ONCE = 64
"""Hashes that may be under way or wait; beyond it RESOURCE_EXHAUSTED."""

_THREADS = min(4, max(1, (os.cpu_count() or 2) // 2))
_DEFAULT_SECONDS = 30.0  # for callers that set no deadline
_MAX_ITERATIONS = 1_000_000
_HASH_KIB = 19 * 1024

# OWASP's parameters for argon2id: 19 MiB, two passes. More memory would be taken from the other calls of a small machine.
_argon2 = PasswordHasher(time_cost=2, memory_cost=_HASH_KIB, parallelism=1)
_DUMMY = _argon2.hash(os.urandom(16).hex())

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PBKDF2 = re.compile(r"sha1:(?P<iterations>[0-9]{1,7}):(?P<salt>[A-Za-z0-9+/=]+):(?P<hash>[A-Za-z0-9+/=]+)")

Result = TypeVar("Result")


class Verdict(NamedTuple):
    """Whether a password is the right one, and if so the hash that is to replace an outdated one."""

    correct: bool
    replacement: str | None = None


class Passwords:
    """Hashes and checks passwords, at most `limit` at once (under way or waiting)."""

    def __init__(self, limit: int = MAX_AT_ONCE) -> None:
        self._most = limit
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        self._under_way = 0
        watch("passwords", self, Passwords.size)

    def size(self) -> CacheSize:
        """How many passwords are being hashed or wait, and how many bytes the hashing takes."""
        return CacheSize(self._under_way, min(self._under_way, _THREADS) * _HASH_KIB * 1024)

    async def hashed(self, password: str) -> str:
        """The argon2id hash to store for a new password."""
        return await self._in_thread(lambda: _argon2.hash(password))

    async def check(self, stored: str | None, password: str) -> Verdict:
        """Whether `password` belongs to the hash `stored`; None stands for a user that does not exist, and takes as long."""
        return await self._in_thread(lambda: _check(stored, password))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self._under_way >= self._most:
            raise ResourceExhausted("Too many people are signing in at the moment. Please try again later.")
        seconds = time_left(_DEFAULT_SECONDS)
        self._under_way += 1
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            raise waited_too_long("Signing in takes too long at the moment. Please try again later.") from None
        finally:
            self._under_way -= 1


def _check(stored: str | None, password: str) -> Verdict:
    """One argon2 calculation whatever is stored, so that the time it takes tells nothing."""
    if stored is not None and stored.startswith("$argon2"):
        if not _verified(stored, password):
            return Verdict(False)
        return Verdict(True, _argon2.hash(password) if _argon2.check_needs_rehash(stored) else None)
    if stored is not None and _matches_earlier(stored, password):
        return Verdict(True, _argon2.hash(password))
    _verified(_DUMMY, password)
    return Verdict(False)


def _verified(stored: str, password: str) -> bool:
    try:
        return _argon2.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _matches_earlier(stored: str, password: str) -> bool:
    """Whether `stored` is a hash of `password` as an earlier backend made it. Which one hashes which text: docs/decisions/0022."""
    if _MD5.fullmatch(stored):
        return hmac.compare_digest(
            hashlib.md5(password.strip().encode(), usedforsecurity=False).hexdigest(), stored.lower()
        )
    if _SHA256.fullmatch(stored):
        return hmac.compare_digest(hashlib.sha256(password.encode()).hexdigest(), stored.lower())
    pbkdf2 = _PBKDF2.fullmatch(stored)
    if pbkdf2 and 1 <= int(pbkdf2["iterations"]) <= _MAX_ITERATIONS:
        try:
            salt, expected = b64decode(pbkdf2["salt"]), b64decode(pbkdf2["hash"])
        except ValueError:
            return False
        if expected:
            actual = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, int(pbkdf2["iterations"]), len(expected))
            return hmac.compare_digest(actual, expected)
    return False
