"""The user management service: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.user_management.accounts import Accounts
from services.user_management.passwords import Passwords
from services.user_management.repository import STATEMENTS, UsersRepository
from services.user_management.servicer import UserManagementServicer

SERVICE = Service(
    SERVICES["UserManagementService"],
    statements=STATEMENTS,
    build=lambda database, settings: UserManagementServicer(Accounts(UsersRepository(database), Passwords())),
)
