"""Users on the real Cassandra: created once whoever tries at once, and completed whatever a crash left."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import grpc
import pytest
from cassandra.cluster import Cluster, Session

from common.database import Database, Statement
from common.timestamps import now
from infra.cassandra import Cassandra
from protos import user_management_pb2 as messages
from protos.common_pb2 import Uuid
from protos.user_management_pb2_grpc import UserManagementServiceStub
from services.user_management.accounts import CLAIM_LIFETIME, Accounts, NewUser
from services.user_management.passwords import Passwords
from services.user_management.repository import STATEMENTS, UsersRepository
from tests.processes import ServiceProcess
from tests.repositories.crashing import Killed, KilledAt

if TYPE_CHECKING:
    from protos.user_management_pb2_grpc import UserManagementServiceAsyncStub

OpenDatabase = Callable[[Iterable[Statement]], Awaitable[Database]]


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database(STATEMENTS)


@pytest.fixture
async def accounts(database: Database) -> Accounts:
    return accounts_on(database)


@pytest.fixture
def cql(cassandra: Cassandra) -> Iterator[Session]:
    """A session behind the service's back."""
    cluster = Cluster([cassandra.host], port=cassandra.port)
    yield cluster.connect("killrvideo")
    cluster.shutdown()


def accounts_on(database: Database) -> Accounts:
    """What another process has."""
    return Accounts(UsersRepository(database), Passwords())


def new_user() -> NewUser:
    user_id = uuid4()
    return NewUser(user_id, "Ada", "Lovelace", f"Ada.{user_id}@Example.org", "secret")


async def test_a_user_is_kept_under_his_address_in_lower_case_and_shown_as_he_typed_it(
    accounts: Accounts, cql: Session
) -> None:
    user, before = new_user(), now()
    assert await accounts.create(user)
    row = cql.execute("SELECT * FROM user_credentials WHERE email = %s", (user.email.lower(),)).one()
    assert (row.userid, row.claimed_at) == (user.user_id, None)
    assert row.password.startswith("$argon2id$")
    shown = cql.execute("SELECT * FROM users WHERE userid = %s", (user.user_id,)).one()
    assert (shown.firstname, shown.lastname, shown.email) == ("Ada", "Lovelace", user.email)
    created: datetime = shown.created_date
    assert before <= created <= now()
    assert await accounts.verified(user.email.upper(), "secret") == user.user_id
    assert await accounts.verified(user.email, "wrong") is None


async def test_the_very_same_call_16_times_at_once_in_two_processes_creates_one(open_database: OpenDatabase) -> None:
    places = [accounts_on(await open_database(STATEMENTS)) for _ in range(2)]
    user = new_user()
    outcomes = await asyncio.gather(*(places[number % 2].create(user) for number in range(16)))
    assert sorted(outcomes) == [False] * 15 + [True]
    assert await places[0].verified(user.email, user.password) == user.user_id


async def test_one_address_is_given_to_one_of_many_at_once(open_database: OpenDatabase, cql: Session) -> None:
    places = [accounts_on(await open_database(STATEMENTS)) for _ in range(2)]
    email = new_user().email
    candidates = [
        new_user()._replace(email=spelling) for spelling in (email, email.upper(), email.lower(), email.title())
    ]
    outcomes = await asyncio.gather(*(places[number % 2].create(user) for number, user in enumerate(candidates)))
    assert sum(outcomes) == 1
    winner = candidates[outcomes.index(True)]
    assert await places[0].verified(email, "secret") == winner.user_id
    assert [
        cql.execute("SELECT userid FROM users WHERE userid = %s", (user.user_id,)).one() is not None
        for user in candidates
    ] == outcomes


async def test_one_id_is_given_to_one_address_of_many_at_once_and_the_others_stay_free(
    open_database: OpenDatabase,
) -> None:
    places = [accounts_on(await open_database(STATEMENTS)) for _ in range(2)]
    user = new_user()
    candidates = [user._replace(email=f"{number}.{user.email}") for number in range(4)]
    outcomes = await asyncio.gather(*(places[number % 2].create(each) for number, each in enumerate(candidates)))
    assert sum(outcomes) == 1
    again = await asyncio.gather(*(places[0].create(each._replace(user_id=uuid4())) for each in candidates))
    assert again == [not created for created in outcomes]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_the_same_call_completes_it(
    database: Database, accounts: Accounts, number: int, after: bool
) -> None:
    user = new_user()
    killed = accounts_on(KilledAt(database, number, after))  # type: ignore[arg-type]  # passes on
    assert isinstance((await asyncio.gather(killed.create(user), return_exceptions=True))[0], Killed)
    exists = number + after >= 2  # the second write decides
    assert (await accounts.verified(user.email, user.password) is not None) is exists
    assert (user.user_id in await accounts.users.users([user.user_id])) is exists
    assert not await accounts.create(user._replace(user_id=uuid4())) or number + after == 0
    if number + after:
        assert await accounts.create(user) is not exists
        assert await accounts.verified(user.email, user.password) == user.user_id
        assert not await accounts.create(user)


async def test_a_claim_that_nobody_completed_is_free_for_others_after_a_while(
    database: Database, accounts: Accounts, cql: Session
) -> None:
    """By Cassandra's clock: what the instance that made the claim took for the time does not count."""
    seconds = CLAIM_LIFETIME.total_seconds()
    for clock in (-6 * CLAIM_LIFETIME, 0 * CLAIM_LIFETIME, 6 * CLAIM_LIFETIME):
        user, other, later = new_user(), new_user(), new_user()
        for address, since in ((user.email, time.time()), (later.email, time.time() - 2 * seconds)):
            cql.execute(
                "INSERT INTO user_credentials (email, password, userid, claimed_at) VALUES (%s, 'x', %s, %s) USING TIMESTAMP %s",
                (address.lower(), uuid4(), now() + clock, int(since * 1_000_000)),
            )
        assert not await accounts.create(other._replace(email=user.email))
        assert await accounts.create(other._replace(email=later.email))
        assert await accounts.verified(later.email, other.password) == other.user_id


async def test_an_address_that_went_to_somebody_else_meanwhile_is_not_acknowledged(
    database: Database, accounts: Accounts, cql: Session
) -> None:
    user, other = new_user(), uuid4()

    class Paused(UsersRepository):
        """A process that is paused, after its claim, for longer than that lasts."""

        async def add_user(self, *values: Any) -> str | None:
            cql.execute(
                "UPDATE user_credentials SET userid = %s WHERE email = %s IF EXISTS", (other, user.email.lower())
            )
            return await super().add_user(*values)

    assert not await Accounts(Paused(database), Passwords()).create(user)


async def test_an_older_hash_is_replaced_at_the_next_login(accounts: Accounts, cql: Session) -> None:
    user, md5 = new_user(), hashlib.md5(b"secret", usedforsecurity=False).hexdigest()
    cql.execute(
        "INSERT INTO user_credentials (email, password, userid) VALUES (%s, %s, %s)", (user.email, md5, user.user_id)
    )
    assert await accounts.verified(user.email, "secret ") == user.user_id

    def stored(email: str) -> str:
        return str(cql.execute("SELECT password FROM user_credentials WHERE email = %s", (email,)).one().password)

    replaced = stored(user.email)
    assert replaced.startswith("$argon2id$")
    assert await accounts.verified(user.email, "secret ") == user.user_id
    assert stored(user.email) == replaced
    assert not await accounts.create(user._replace(user_id=uuid4()))  # an address kept as it was typed is taken too


async def test_a_hash_that_was_changed_meanwhile_is_left_alone(database: Database, cql: Session) -> None:
    email = new_user().email
    cql.execute("INSERT INTO user_credentials (email, password, userid) VALUES (%s, 'new', %s)", (email, uuid4()))
    await UsersRepository(database).replace_password(email, "old", "newer")
    assert cql.execute("SELECT password FROM user_credentials WHERE email = %s", (email,)).one().password == "new"


async def test_users_that_are_known_are_found_among_200_ids(accounts: Accounts) -> None:
    user = new_user()
    await accounts.create(user)
    asked: list[UUID] = [uuid4() for _ in range(198)] + [user.user_id, user.user_id]
    users = await accounts.users.users(asked)
    assert list(users) == [user.user_id]
    assert users[user.user_id].email == user.email


async def test_the_tables_may_be_emptied_and_the_same_user_created_again(accounts: Accounts, cql: Session) -> None:
    user = new_user()
    assert await accounts.create(user)
    for table in ("user_credentials", "users"):
        await asyncio.to_thread(cql.execute, f"TRUNCATE {table}", timeout=30)
    assert await accounts.verified(user.email, user.password) is None
    assert await accounts.create(user)
    assert await accounts.verified(user.email, user.password) == user.user_id


async def test_a_process_killed_under_load_leaves_nothing_that_the_same_calls_do_not_complete(
    start_service: Callable[..., ServiceProcess], accounts: Accounts
) -> None:
    process = start_service("user_management")
    asked: list[NewUser] = []
    answered: set[UUID] = set()
    some = asyncio.Event()

    async def create_on(stub: "UserManagementServiceAsyncStub") -> None:
        while True:
            user = new_user()
            asked.append(user)
            request = messages.CreateUserRequest(
                user_id=Uuid(value=str(user.user_id)),
                first_name=user.first_name,
                last_name=user.last_name,
                email=user.email,
                password=user.password,
            )
            try:
                await stub.CreateUser(request, timeout=10)
            except grpc.aio.AioRpcError:
                return
            answered.add(user.user_id)
            if len(answered) >= 10:
                some.set()

    async with grpc.aio.insecure_channel(process.address) as channel:
        calls = [asyncio.create_task(create_on(UserManagementServiceStub(channel))) for _ in range(8)]
        await asyncio.wait_for(some.wait(), 60)
        await asyncio.to_thread(process.kill)
        await asyncio.wait_for(asyncio.gather(*calls), 30)
    assert (await accounts.users.users(list(answered))).keys() == answered
    for user in (user for user in asked if user.user_id not in answered):
        existed = user.user_id in await accounts.users.users([user.user_id])
        assert (await accounts.verified(user.email, user.password) == user.user_id) is existed
        assert await accounts.create(user) is not existed
        assert await accounts.verified(user.email, user.password) == user.user_id
