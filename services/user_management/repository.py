"""Where users are kept: who may log in by e-mail address, and who somebody is by user id.

Both are written by lightweight transactions only, each a step of its own; services/user_management/accounts.py puts them in order.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from common.database import Database, Outcome, Select, WriteIf, settled
from services.user_management.email_addresses import MAX_CHARACTERS, email_key


class CredentialsRow(NamedTuple):
    """Who logs in with an address. `claimed_at` is set while that user is being created.

    It was written at `claimed_us` (microseconds since 1970), and now it is `now_ms` (milliseconds): both by Cassandra's clock, because the
    clocks of two instances may differ.
    """

    email: str
    password: str | None
    user_id: UUID | None
    claimed_at: datetime | None
    claimed_us: int | None
    now_ms: int

    @property
    def claim_age(self) -> timedelta:
        """How long ago the address was claimed."""
        return timedelta(microseconds=self.now_ms * 1000 - (self.claimed_us or 0))

    def __repr__(self) -> str:
        """For logs and traces, so without the hash."""
        return f"CredentialsRow({self.email!r}, {self.user_id}, {self.claimed_at})"


class UserRow(NamedTuple):
    """Who somebody is. Rows of older backends may lack any of it."""

    user_id: UUID
    first_name: str | None
    last_name: str | None
    email: str | None


CREDENTIALS = Select(
    "SELECT email, password, userid, claimed_at, WRITETIME(claimed_at), toUnixTimestamp(now())"
    " FROM user_credentials WHERE email = ?",
    CredentialsRow,
)
CREDENTIALS_TO_DECIDE = Select(CREDENTIALS.cql, CredentialsRow, decides=True)
USERS = Select("SELECT userid, firstname, lastname, email FROM users WHERE userid IN ?", UserRow)
USER_TO_DECIDE = Select("SELECT userid, firstname, lastname, email FROM users WHERE userid = ?", UserRow, decides=True)
CLAIM = WriteIf("INSERT INTO user_credentials (email, password, userid, claimed_at) VALUES (?, ?, ?, ?) IF NOT EXISTS")
CLAIM_ANEW = WriteIf(
    "UPDATE user_credentials SET password = ?, userid = ?, claimed_at = ? WHERE email = ? IF userid = ? AND claimed_at = ?"
)
RELEASE = WriteIf("DELETE FROM user_credentials WHERE email = ? IF userid = ? AND claimed_at = ?")
COMPLETE = WriteIf("UPDATE user_credentials SET claimed_at = null WHERE email = ? IF userid = ?")
REPLACE_PASSWORD = WriteIf("UPDATE user_credentials SET password = ? WHERE email = ? IF password = ?")
INSERT_USER = WriteIf(
    "INSERT INTO users (userid, firstname, lastname, email, created_date) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS"
)

STATEMENTS = (
    CREDENTIALS,
    CREDENTIALS_TO_DECIDE,
    USERS,
    USER_TO_DECIDE,
    CLAIM,
    CLAIM_ANEW,
    RELEASE,
    COMPLETE,
    REPLACE_PASSWORD,
    INSERT_USER,
)


class UsersRepository:
    """Reads and writes credentials and users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def credentials(self, email: str, decides: bool = False) -> CredentialsRow | None:
        """The credentials of an address. `decides`: what is written next rests on them.

        Rows of older backends hold the address as it was typed, and are found by that text alone.
        """
        statement = CREDENTIALS_TO_DECIDE if decides else CREDENTIALS
        if len(email) > MAX_CHARACTERS:
            return None
        key = email_key(email)
        if key == email:
            return await self._database.select_one(statement, key)
        as_typed, by_key = await asyncio.gather(
            self._database.select_one(statement, email), self._database.select_one(statement, key)
        )
        return as_typed or by_key

    async def users(self, user_ids: Sequence[UUID]) -> dict[UUID, UserRow]:
        """The users that there are, by id."""
        rows = await self._database.select(USERS, list(dict.fromkeys(user_ids)))
        return {row.user_id: row for row in rows}

    async def user_to_decide(self, user_id: UUID) -> UserRow | None:
        """A user, on whom rests what is written next."""
        return await self._database.select_one(USER_TO_DECIDE, user_id)

    async def claim(
        self, email: str, password: str, user_id: UUID, timestamp: datetime, former: CredentialsRow | None
    ) -> bool:
        """Claim a free address, or one whose claim still is `former`, for a user about to be created. False if another was faster."""

        async def attempt() -> Outcome:
            if former is None:
                return await self._database.write_if(CLAIM, email, password, user_id, timestamp)
            return await self._database.write_if(
                CLAIM_ANEW, password, user_id, timestamp, email, former.user_id, former.claimed_at
            )

        return (await settled(attempt, {"userid": user_id, "claimed_at": timestamp})).applied

    async def release(self, email: str, user_id: UUID, timestamp: datetime) -> None:
        """Give up a claim, if it still is the one made at `timestamp`."""
        await self._database.write_if(RELEASE, email, user_id, timestamp)

    async def add_user(
        self, user_id: UUID, first_name: str, last_name: str, email: str, timestamp: datetime
    ) -> str | None:
        """Create a user. None if that was done; otherwise the address of the user that has this id already."""
        outcome = await settled(
            lambda: self._database.write_if(INSERT_USER, user_id, first_name, last_name, email, timestamp),
            {"email": email, "created_date": timestamp},
        )
        return None if outcome.applied else outcome.current[0]["email"] or ""

    async def complete(self, email: str, user_id: UUID) -> bool:
        """Make the claim of a created user permanent. False if the address is somebody else's."""
        return (await self._database.write_if(COMPLETE, email, user_id)).applied

    async def replace_password(self, email: str, former: str, password: str) -> None:
        """Replace a hash, unless another has replaced it meanwhile."""
        await self._database.write_if(REPLACE_PASSWORD, password, email, former)
