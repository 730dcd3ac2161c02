"""Creating users and checking who signs in.

A user is two rows in two tables, and no transaction spans both. So creating one has an order in which every crash leaves something that is
either invisible or complete:

1. The address is claimed: its credentials are written with `claimed_at` set. Nobody can sign in with them yet.
2. The user is added, if the id is free. This one write decides: from here on the user exists and can sign in.
3. `claimed_at` is set to null. A call that finds a claim whose user exists does that for the call that crashed before it.

A crash after 1 is completed by the same call; a claim that nobody completes is free for others after a while. docs/decisions/0021.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

from common.caches import LOCK_BYTES, CacheSize, watch
from common.timestamps import now
from grpc_discovery import ServiceError
from services.user_management.email_addresses import email_key
from services.user_management.passwords import Passwords
from services.user_management.repository import CredentialsRow, UsersRepository

CLAIM_LIFETIME = timedelta(minutes=10)
"""How long a claim holds an address against others: longer than any call that made it can still be at work."""


class NewUser(NamedTuple):
    """A user to be created, with what they typed."""

    user_id: UUID
    first_name: str
    last_name: str
    email: str
    password: str

    def __repr__(self) -> str:
        """For logs and traces, so without the password."""
        return f"NewUser({self.user_id}, {self.email!r})"


class Accounts:
    """The users and their credentials."""

    def __init__(self, users: UsersRepository, passwords: Passwords) -> None:
        self.users = users
        self._passwords = passwords
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        watch("address_locks", self._turns, lambda locks: CacheSize.estimated(len(locks), LOCK_BYTES))

    async def create(self, user: NewUser) -> bool:
        """Create a user. False if their address or their id is taken."""
        key = email_key(user.email)
        # Calls for one address take turns, so that only the first of many alike hashes and writes.
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            return await self._create(user, key)

    async def verified(self, email: str, password: str) -> UUID | None:
        """The id of the user who signs in with this address and password; None, after the same time, if either is wrong."""
        account = await self.users.credentials(email)
        if account and account.claimed_at and not await self._finished(account):
            account = None
        correct, replacement = await self._passwords.check(account.password if account else None, password)
        if not (account and correct):
            return None
        if replacement and account.password:
            with suppress(ServiceError):  # the password is right; the hash can be replaced at the next login
                await self.users.replace_password(account.email, account.password, replacement)
        return account.user_id

    async def _create(self, user: NewUser, key: str) -> bool:
        former, taken = await asyncio.gather(
            self.users.credentials(user.email, decides=True), self.users.user_to_decide(user.user_id)
        )
        if former and not await self._may_be_claimed(former, user):
            return False
        if taken:
            return False
        claimed_key = former.email if former else key
        password = await self._passwords.hashed(user.password)
        claimed_at = now()
        if not await self.users.claim(claimed_key, password, user.user_id, claimed_at, former):
            return False
        present = await self.users.add_user(user.user_id, user.first_name, user.last_name, user.email, claimed_at)
        if present is None or email_key(present) == key:
            with suppress(ServiceError):  # the user exists; the next call that finds the claim completes it
                # A process that was paused for longer than its claim lasts may have lost the address to somebody else.
                return await self.users.complete(claimed_key, user.user_id) and present is None
        else:
            await self.users.release(claimed_key, user.user_id, claimed_at)
        return present is None

    async def _may_be_claimed(self, former: CredentialsRow, user: NewUser) -> bool:
        """Whether an address that has credentials may be claimed all the same, because nobody was created with them."""
        if await self._finished(former):
            return False
        if former.user_id == user.user_id and (await self._passwords.check(former.password, user.password)).correct:
            return True  # the same call, after a crash of ours or of an older backend
        if former.claimed_at is None:
            return False  # somebody signs in with these, though their name is lost
        if former.claim_age > CLAIM_LIFETIME:
            return True
        # The id went to another address while this one was claimed: the user it was claimed for will never exist.
        return former.user_id is not None and await self.users.user_to_decide(former.user_id) is not None

    async def _finished(self, account: CredentialsRow) -> bool:
        """Whether the user of these credentials exists; if so a claim is completed."""
        if account.user_id is None:
            return False
        user = await self.users.user_to_decide(account.user_id)
        if user is None or email_key(user.email or "") != email_key(account.email):
            return False
        if account.claimed_at:
            with suppress(ServiceError):
                await self.users.complete(account.email, account.user_id)
        return True
