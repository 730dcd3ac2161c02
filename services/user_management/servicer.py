"""The calls of UserManagementService."""

from typing import Any

from common.ids import uuid_message
from common.requests import RequestReader
from grpc_discovery import AlreadyExists, Unauthenticated, shielded
from protos import user_management_pb2 as messages
from protos.user_management_pb2_grpc import UserManagementServiceServicer
from services.user_management.accounts import Accounts, NewUser
from services.user_management.email_addresses import MAX_CHARACTERS as MAX_ADDRESS_CHARACTERS
from services.user_management.email_addresses import is_email_address

MAX_NAME_CHARACTERS = 256
MAX_PASSWORD_CHARACTERS = 256
_ANY_NUMBER = 2**31  # a text that is too long for an address or a password is just a wrong one


class UserManagementServicer(UserManagementServiceServicer):
    """Creating users, checking their passwords, and giving their names."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def CreateUser(self, request: messages.CreateUserRequest, context: Any) -> messages.CreateUserResponse:
        """Create a user; of many calls for one address or one id, one succeeds."""
        reader = RequestReader(request)
        user_id = reader.uuid("user_id")
        first_name = reader.text("first_name", MAX_NAME_CHARACTERS, blank_allowed=True)
        last_name = reader.text("last_name", MAX_NAME_CHARACTERS, blank_allowed=True)
        email = reader.text("email", MAX_ADDRESS_CHARACTERS)
        if not is_email_address(email):
            reader.add_violation("email", f"is not an e-mail address: {email!r}")
        password = reader.text("password", MAX_PASSWORD_CHARACTERS)
        reader.raise_if_invalid()
        if not await shielded(self._accounts.create(NewUser(user_id, first_name, last_name, email, password))):
            raise AlreadyExists(f"Exception creating user because it already exists for {email}")
        return messages.CreateUserResponse()

    async def VerifyCredentials(
        self, request: messages.VerifyCredentialsRequest, context: Any
    ) -> messages.VerifyCredentialsResponse:
        """The id of the user who has this address and password. The answer to a wrong password and to an unknown address is the same."""
        reader = RequestReader(request)
        email, password = reader.text("email", _ANY_NUMBER), reader.text("password", _ANY_NUMBER)
        reader.raise_if_invalid()
        user_id = await self._accounts.verified(email, password)
        if user_id is None:
            raise Unauthenticated("Email address or password are not correct.")
        return messages.VerifyCredentialsResponse(user_id=uuid_message(user_id))

    async def GetUserProfile(
        self, request: messages.GetUserProfileRequest, context: Any
    ) -> messages.GetUserProfileResponse:
        """Who some users are, in the order of the request; unknown ones are left out."""
        reader = RequestReader(request)
        user_ids = reader.uuids("user_ids")
        reader.raise_if_invalid()
        users = await self._accounts.users.users(user_ids)
        return messages.GetUserProfileResponse(
            profiles=[
                messages.UserProfile(
                    user_id=sent,
                    first_name=user.first_name or "",
                    last_name=user.last_name or "",
                    email=user.email or "",
                )
                for sent, user_id in zip(request.user_ids, user_ids, strict=True)
                if (user := users.get(user_id))
            ]
        )
