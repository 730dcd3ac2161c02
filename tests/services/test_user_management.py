"""UserManagementService over the wire, on users kept in dicts; addresses, passwords, and what a crash between two steps leaves."""

import asyncio
import base64
import hashlib
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import grpc
import pytest
from grpc import aio

from common.timestamps import now
from grpc_discovery import ResourceExhausted
from protos import user_management_pb2 as messages
from protos.common_pb2 import Uuid
from protos.user_management_pb2_grpc import UserManagementServiceStub, add_UserManagementServiceServicer_to_server
from services.user_management.accounts import CLAIM_LIFETIME, Accounts, NewUser
from services.user_management.email_addresses import email_key, is_email_address
from services.user_management.passwords import Passwords, Verdict
from services.user_management.repository import CredentialsRow, UserRow
from services.user_management.servicer import UserManagementServicer
from tests.services.serving import bad_fields, serving

if TYPE_CHECKING:
    from protos.user_management_pb2_grpc import UserManagementServiceAsyncStub


class Crash(BaseException):
    """The process is gone."""


class UsersInDicts:
    """What the repository does, in memory. After `steps` writes it behaves as if the process had been killed."""

    def __init__(self) -> None:
        self.by_address: dict[str, CredentialsRow] = {}
        self.by_id: dict[UUID, UserRow] = {}
        self.created: dict[UUID, datetime] = {}
        self.steps: int | None = None

    async def credentials(self, email: str, decides: bool = False) -> CredentialsRow | None:
        await asyncio.sleep(0)
        return self.by_address.get(email) or self.by_address.get(email_key(email))

    async def users(self, user_ids: Sequence[UUID]) -> dict[UUID, UserRow]:
        await asyncio.sleep(0)
        return {user_id: self.by_id[user_id] for user_id in user_ids if user_id in self.by_id}

    async def user_to_decide(self, user_id: UUID) -> UserRow | None:
        await asyncio.sleep(0)
        return self.by_id.get(user_id)

    async def claim(
        self, key: str, password: str, user_id: UUID, timestamp: datetime, former: CredentialsRow | None
    ) -> bool:
        self._step()
        if self.by_address.get(key) != former:
            return False
        self.by_address[key] = CredentialsRow(key, password, user_id, timestamp, 0, 0)
        return True

    async def release(self, key: str, user_id: UUID, timestamp: datetime) -> None:
        self._step()
        if (row := self.by_address.get(key)) and (row.user_id, row.claimed_at) == (user_id, timestamp):
            del self.by_address[key]

    async def add_user(
        self, user_id: UUID, first_name: str, last_name: str, email: str, timestamp: datetime
    ) -> str | None:
        self._step()
        if user_id in self.by_id:
            return self.by_id[user_id].email or ""
        self.by_id[user_id], self.created[user_id] = UserRow(user_id, first_name, last_name, email), timestamp
        return None

    async def complete(self, key: str, user_id: UUID) -> bool:
        self._step()
        if (row := self.by_address.get(key)) and row.user_id == user_id:
            self.by_address[key] = row._replace(claimed_at=None)
            return True
        return False

    async def replace_password(self, email: str, former: str, password: str) -> None:
        self._step()
        if self.by_address[email].password == former:
            self.by_address[email] = self.by_address[email]._replace(password=password)

    def _step(self) -> None:
        if self.steps is not None:
            if self.steps == 0:
                raise Crash
            self.steps -= 1


@pytest.fixture
def users() -> UsersInDicts:
    return UsersInDicts()


@pytest.fixture
def accounts(users: UsersInDicts) -> Accounts:
    return Accounts(users, Passwords())  # type: ignore[arg-type]  # a fake


@pytest.fixture
async def stub(accounts: Accounts) -> AsyncIterator["UserManagementServiceAsyncStub"]:
    async with serving(UserManagementServicer(accounts), add_UserManagementServiceServicer_to_server) as channel:
        yield UserManagementServiceStub(channel)


PASSWORD = "secret"


def new_user(email: str = "", password: str = PASSWORD) -> NewUser:
    user_id = uuid4()
    return NewUser(user_id, "Ada", "Lovelace", email or f"{user_id}@example.org", password)


def request_of(user: NewUser) -> messages.CreateUserRequest:
    return messages.CreateUserRequest(
        user_id=Uuid(value=str(user.user_id)),
        first_name=user.first_name,
        last_name=user.last_name,
        email=user.email,
        password=user.password,
    )


async def refusal(call: "aio.UnaryUnaryCall[Any, Any]") -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return raised.value


class TestCreateUser:
    async def test_a_user_is_created_with_the_moment_and_a_hash_by_argon2id(
        self, stub: "UserManagementServiceAsyncStub", users: UsersInDicts
    ) -> None:
        user, before = new_user("Ada@Example.org"), now()
        await stub.CreateUser(request_of(user))
        assert before <= users.created[user.user_id] <= now()
        row = users.by_address["ada@example.org"]
        assert row.password is not None
        assert row.password.startswith("$argon2id$")
        assert row.claimed_at is None

    async def test_repeating_or_losing_is_already_exists_with_the_address_as_it_was_typed(
        self, stub: "UserManagementServiceAsyncStub"
    ) -> None:
        user = new_user("Ada@Example.org")
        await stub.CreateUser(request_of(user))
        for again in (user, user._replace(user_id=uuid4()), user._replace(user_id=uuid4(), email="ADA@example.ORG")):
            error = await refusal(stub.CreateUser(request_of(again)))
            assert error.code() == grpc.StatusCode.ALREADY_EXISTS
            assert error.details() == f"Exception creating user because it already exists for {again.email}"

    async def test_the_very_same_call_16_times_at_once_is_one_ok_and_15_already_exists(
        self, stub: "UserManagementServiceAsyncStub"
    ) -> None:
        user = new_user()
        calls = [stub.CreateUser(request_of(user)) for _ in range(16)]
        codes = [await call.code() for call in calls]
        assert sorted(code.name for code in codes) == ["ALREADY_EXISTS"] * 15 + ["OK"]

    async def test_a_user_id_that_is_taken_leaves_the_other_address_free(
        self, stub: "UserManagementServiceAsyncStub"
    ) -> None:
        user = new_user()
        await stub.CreateUser(request_of(user))
        error = await refusal(stub.CreateUser(request_of(user._replace(email="free@example.org"))))
        assert error.code() == grpc.StatusCode.ALREADY_EXISTS
        await stub.CreateUser(request_of(new_user("free@example.org")))

    async def test_one_user_id_with_16_addresses_at_once_gets_one_and_leaves_the_others_free(
        self, accounts: Accounts, users: UsersInDicts
    ) -> None:
        user = new_user()
        candidates = [user._replace(email=f"{number}@example.org") for number in range(16)]
        assert sum(await asyncio.gather(*map(accounts.create, candidates))) == 1
        assert [row.user_id for row in users.by_address.values()] == [user.user_id]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("email", ""),
            ("email", "nobody"),
            ("email", "a@b@example.org"),
            ("email", f"{'a' * 250}@example.org"),
            ("password", ""),
            ("password", " "),
            ("password", "x" * 257),
            ("first_name", "x" * 257),
            ("last_name", "x" * 257),
            ("user_id", Uuid(value="nope")),
            ("user_id", None),
        ],
    )
    async def test_each_bad_field_is_named(
        self, stub: "UserManagementServiceAsyncStub", field: str, value: object
    ) -> None:
        request = request_of(new_user())
        request.ClearField(field)  # type: ignore[arg-type]  # one of its names
        request.MergeFrom(messages.CreateUserRequest(**{field: value}))  # type: ignore[arg-type]  # of that field's type
        assert bad_fields(await refusal(stub.CreateUser(request))) == {field}

    async def test_names_may_be_blank_and_a_password_may_have_256_characters(
        self, stub: "UserManagementServiceAsyncStub"
    ) -> None:
        await stub.CreateUser(request_of(new_user(password="é" * 256)._replace(first_name="", last_name=" ")))

    async def test_no_answer_holds_the_password(self, stub: "UserManagementServiceAsyncStub") -> None:
        user = new_user(password="very-secret-word" * 20)
        error = await refusal(stub.CreateUser(request_of(user)))
        assert "very-secret-word" not in str(error.details()) + str(error.trailing_metadata())

    @pytest.mark.parametrize("steps", [0, 1, 2])
    async def test_the_same_call_completes_what_a_crash_left(self, users: UsersInDicts, steps: int) -> None:
        user = new_user()
        users.steps = steps
        outcome = (await asyncio.gather(accounts_on(users).create(user), return_exceptions=True))[0]
        assert isinstance(outcome, Crash)
        users.steps = None
        created_before = steps == 2  # the second step is the one that decides
        signed_in = await accounts_on(users).verified(user.email, user.password)
        assert (signed_in is not None, user.user_id in users.by_id) == (created_before, created_before)
        assert await accounts_on(users).create(user) is not created_before
        assert await accounts_on(users).verified(user.email, user.password) == user.user_id
        assert users.by_address[user.email].claimed_at is None
        assert not await accounts_on(users).create(user)

    async def test_an_address_that_a_crash_left_claimed_is_free_for_others_after_a_while(
        self, users: UsersInDicts
    ) -> None:
        user, other = new_user("wanted@example.org"), new_user("wanted@example.org", "another")
        users.steps = 1
        await asyncio.gather(accounts_on(users).create(user), return_exceptions=True)
        users.steps = None
        assert not await accounts_on(users).create(other)
        claim = users.by_address[user.email]
        users.by_address[user.email] = claim._replace(now_ms=2 * CLAIM_LIFETIME // timedelta(milliseconds=1))
        assert await accounts_on(users).create(other)
        assert not await accounts_on(users).create(user)
        assert await accounts_on(users).verified("wanted@example.org", "another") == other.user_id

    async def test_a_claim_for_an_id_that_went_to_another_address_is_free_for_others_at_once(
        self, users: UsersInDicts
    ) -> None:
        user = new_user()
        users.steps = 1
        await asyncio.gather(accounts_on(users).create(user), return_exceptions=True)
        users.steps = None
        assert await accounts_on(users).create(user._replace(email="elsewhere@example.org"))
        assert await accounts_on(users).create(new_user(user.email))

    @pytest.mark.parametrize("email", ["ada@example.org", "Ada@Example.org"])
    async def test_what_an_older_backend_left_half_done_is_completed_by_the_same_call_alone(
        self, users: UsersInDicts, email: str
    ) -> None:
        user = new_user(email)
        md5 = hashlib.md5(user.password.encode(), usedforsecurity=False).hexdigest()
        users.by_address[user.email] = CredentialsRow(user.email, md5, user.user_id, None, None, 0)
        assert not await accounts_on(users).create(user._replace(user_id=uuid4()))
        assert not await accounts_on(users).create(user._replace(password="guessed"))
        assert await accounts_on(users).create(user)
        assert await accounts_on(users).verified(user.email, user.password) == user.user_id


def accounts_on(users: UsersInDicts) -> Accounts:
    """A new process on the same data."""
    return Accounts(users, Passwords())  # type: ignore[arg-type]  # a fake


class TestVerifyCredentials:
    async def test_case_of_the_address_does_not_matter_and_that_of_the_password_does(
        self, stub: "UserManagementServiceAsyncStub"
    ) -> None:
        user = new_user("Zoë@Example.org", " Pass wörd ")
        await stub.CreateUser(request_of(user))
        answer = await stub.VerifyCredentials(
            messages.VerifyCredentialsRequest(email="ZOË@example.ORG", password=" Pass wörd ")
        )
        assert answer.user_id.value == str(user.user_id)
        for wrong in ("Pass wörd", " pass wörd ", "x" * 10_000):
            error = await refusal(
                stub.VerifyCredentials(messages.VerifyCredentialsRequest(email=user.email, password=wrong))
            )
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED

    async def test_wrong_password_unknown_address_and_no_address_get_the_same_answer(
        self, stub: "UserManagementServiceAsyncStub"
    ) -> None:
        user = new_user()
        await stub.CreateUser(request_of(user))
        answers = set()
        for email in (user.email, "nobody@example.org", "no address", "x" * 100_000):
            error = await refusal(
                stub.VerifyCredentials(messages.VerifyCredentialsRequest(email=email, password="wrong"))
            )
            answers.add((error.code(), error.details(), tuple(error.trailing_metadata() or ())))
        assert len(answers) == 1
        assert next(iter(answers))[:2] == (
            grpc.StatusCode.UNAUTHENTICATED,
            "Email address or password are not correct.",
        )

    @pytest.mark.parametrize(
        ("email", "password", "bad"),
        [("", "x", {"email"}), (" ", "", {"email", "password"}), ("a@b.org", " ", {"password"})],
    )
    async def test_a_blank_field_is_invalid(
        self, stub: "UserManagementServiceAsyncStub", email: str, password: str, bad: set[str]
    ) -> None:
        request = messages.VerifyCredentialsRequest(email=email, password=password)
        assert bad_fields(await refusal(stub.VerifyCredentials(request))) == bad

    async def test_nobody_signs_in_before_he_is_created(self, accounts: Accounts, users: UsersInDicts) -> None:
        user = new_user()
        hashed = await Passwords().hashed(user.password)
        users.by_address[user.email] = CredentialsRow(user.email, hashed, user.user_id, now(), 0, 0)
        assert await accounts.verified(user.email, user.password) is None

    async def test_an_address_that_an_older_backend_kept_as_typed_is_found_and_not_given_away(
        self, accounts: Accounts, users: UsersInDicts
    ) -> None:
        user = new_user("Old@Example.org")
        users.by_address["Old@Example.org"] = CredentialsRow(
            "Old@Example.org", await Passwords().hashed("secret"), user.user_id, None, None, 0
        )
        users.by_id[user.user_id] = UserRow(user.user_id, "Old", None, "Old@Example.org")
        assert await accounts.verified("Old@Example.org", "secret") == user.user_id
        assert not await accounts.create(new_user("Old@Example.org"))

    @pytest.mark.parametrize("stored", ["md5", "sha256", "sha1"])
    async def test_a_hash_of_an_older_backend_is_accepted_and_replaced(
        self, accounts: Accounts, users: UsersInDicts, stored: str
    ) -> None:
        user_id, hashes = uuid4(), hashes_of("Pa$$ wörd")
        users.by_address["a@example.org"] = CredentialsRow("a@example.org", hashes[stored], user_id, None, None, 0)
        assert await accounts.verified("a@example.org", "wrong") is None
        assert users.by_address["a@example.org"].password == hashes[stored]
        assert await accounts.verified("a@example.org", "Pa$$ wörd") == user_id
        assert str(users.by_address["a@example.org"].password).startswith("$argon2id$")
        assert await accounts.verified("a@example.org", "Pa$$ wörd") == user_id


def hashes_of(password: str) -> dict[str, str]:
    """A password as the earlier backends and the public data set hash it."""
    salt = bytes(range(24))
    derived = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, 1000, 24)
    return {
        "md5": hashlib.md5(password.encode(), usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(password.encode()).hexdigest(),
        "sha1": f"sha1:1000:{base64.b64encode(salt).decode()}:{base64.b64encode(derived).decode()}",
    }


class TestPasswords:
    async def test_md5_is_of_the_trimmed_password(self) -> None:
        assert (await Passwords().check(hashes_of("secret")["md5"].upper(), "  secret\t")).correct

    async def test_the_hashes_of_the_public_data_set_are_of_the_text_as_it_is(self) -> None:
        # Its rows hash the decimal text of random numbers; this is the first of them.
        stored = "913d199f349e540cf50caa123e5697cb1d6089eff315529b3ea3f7d9ff917632"
        assert (await Passwords().check(stored, "0.5904925124490397")).correct
        assert not (await Passwords().check(stored, " 0.5904925124490397")).correct

    @pytest.mark.parametrize(
        "stored",
        [
            "",
            "secret",
            "$argon2id$",
            "$argon2id$v=19$m=1,t=1,p=1$x$y",
            "sha1:1000:====:!!!!",
            "sha1:0:AAAA:AAAA",
            "sha1:1000:A:A",
            "5f4dcc",
        ],
    )
    async def test_what_is_no_hash_matches_nothing(self, stored: str) -> None:
        assert await Passwords().check(stored, "secret") == Verdict(False)

    async def test_a_hash_with_outdated_parameters_is_replaced(self) -> None:
        from argon2 import PasswordHasher

        verdict = await Passwords().check(
            PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("secret"), "secret"
        )
        assert verdict.correct
        assert verdict.replacement is not None
        assert await Passwords().check(verdict.replacement, "secret") == Verdict(True)

    async def test_every_kind_of_failure_takes_the_same_time(self) -> None:
        passwords, hashes = Passwords(), hashes_of("secret")
        kinds: dict[str, str | None] = {
            "unknown": None,
            "argon2id": await passwords.hashed("secret"),
            "damaged": "?",
            **hashes,
        }
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(5):
            for kind, stored in kinds.items():
                began = time.process_time()  # of all threads; unlike the clock, the same on a busy machine
                assert not (await passwords.check(stored, "wrong")).correct
                times[kind].append(time.process_time() - began)
        medians = {kind: statistics.median(each) for kind, each in times.items()}
        # Without the calculation that makes up for it, a failure would take a hundredth of the time.
        assert max(medians.values()) < 2 * min(medians.values()), medians

    async def test_more_than_it_takes_on_at_once_is_refused_and_the_rest_is_done(self) -> None:
        passwords = Passwords(limit=6)
        outcomes = await asyncio.gather(*(passwords.check(None, "x") for _ in range(11)), return_exceptions=True)
        assert sum(isinstance(outcome, ResourceExhausted) for outcome in outcomes) == 5
        assert outcomes.count(Verdict(False)) == 6
        assert await passwords.check(None, "x") == Verdict(False)

    async def test_a_storm_of_sign_ins_leaves_room_for_other_work(self) -> None:
        passwords = Passwords()
        storm = asyncio.gather(*(passwords.check(None, "x") for _ in range(6)))
        await asyncio.sleep(0)
        turns = 0
        while not storm.done():
            await asyncio.sleep(0.001)
            turns += 1
        await storm
        assert turns > 12  # the event loop went on between any two hashes


class TestGetUserProfile:
    async def test_known_users_come_in_request_order_spelled_as_asked(
        self, stub: "UserManagementServiceAsyncStub", users: UsersInDicts
    ) -> None:
        one, other, bare = new_user(), new_user(), uuid4()
        await stub.CreateUser(request_of(one))
        await stub.CreateUser(request_of(other))
        users.by_id[bare] = UserRow(bare, None, None, None)
        asked = [str(other.user_id), str(uuid4()), str(one.user_id).upper(), str(bare), str(other.user_id)]
        answer = await stub.GetUserProfile(
            messages.GetUserProfileRequest(user_ids=[Uuid(value=each) for each in asked])
        )
        assert [(profile.user_id.value, profile.email) for profile in answer.profiles] == [
            (asked[0], other.email),
            (asked[2], one.email),
            (asked[3], ""),
            (asked[4], other.email),
        ]

    @pytest.mark.parametrize("number", [0, 201])
    async def test_profiles_are_asked_for_1_to_200_ids(
        self, stub: "UserManagementServiceAsyncStub", number: int
    ) -> None:
        request = messages.GetUserProfileRequest(user_ids=[Uuid(value=str(uuid4()))] * number)
        assert bad_fields(await refusal(stub.GetUserProfile(request))) == {"user_ids"}


class TestAddresses:
    @pytest.mark.parametrize(
        "text",
        [
            "a@example.org",
            "first.last+tag@sub.example.co.uk",
            "x_y-z@1and1.de",
            "zoë@bücher.example",
            "O'Brien@example.org",
            "a@b--c.org",
        ],
    )
    def test_this_is_an_address(self, text: str) -> None:
        assert is_email_address(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a",
            "a@",
            "@example.org",
            "a@example",
            "a@@example.org",
            "a@b@example.org",
            " a@example.org",
            "a@example.org\n",
            "a b@example.org",
            ".a@example.org",
            "a.@example.org",
            "a..b@example.org",
            "a@example..org",
            "a@.example.org",
            "a@-example.org",
            "a@example-.org",
            "a@exam_ple.org",
            "<a@example.org>",
            "a@example.org,b@example.org",
            f"{'a' * 65}@example.org",
            f"a@{'b' * 64}.org",
            f"a@{'b.' * 130}org",
            "a\u200b@example.org",  # a space without width
            "a\u202eb@example.org",  # writes on from right to left
            "a\u2066b@example.org",
            "a\u009bb@example.org",  # begins an escape code
            "a@exam\u00adple.org",  # a hyphen that is not shown
        ],
    )
    def test_this_is_none(self, text: str) -> None:
        assert not is_email_address(text)

    def test_no_text_of_a_user_holds_the_password(self) -> None:
        user = new_user(password="very-secret-word")
        row = CredentialsRow(user.email, "very-secret-hash", user.user_id, None, None, 0)
        assert "very-secret" not in f"{user} {user!r} {row} {row!r}"

    def test_a_long_text_is_judged_at_once(self) -> None:
        began = time.perf_counter()
        for text in ("a." * 120 + "@", "a@" + "b-" * 126, "a@" + "b" * 250):
            assert not is_email_address(text)
        assert time.perf_counter() - began < 0.1

    @pytest.mark.parametrize(
        ("one", "other"), [("Bob@X.org", "bOB@x.ORG"), ("ΟΔΟΣ@x.org", "οδος@x.org"), ("e\u0301@x.org", "É@x.org")]
    )
    def test_two_spellings_are_one_address(self, one: str, other: str) -> None:
        assert email_key(one) == email_key(other)
