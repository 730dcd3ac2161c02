"""The user management service: its names, its port and its parts."""

from common.service import Service
from protos.user_management_pb2_grpc import add_UserManagementServiceServicer_to_server
from services.user_management.accounts import Accounts
from services.user_management.passwords import Passwords
from services.user_management.repository import STATEMENTS, UsersRepository
from services.user_management.servicer import UserManagementServicer

SERVICE = Service(
    name="UserManagementService",
    slug="user_management",
    full_name="killrvideo.user_management.UserManagementService",
    port=8601,
    statements=STATEMENTS,
    build=lambda database, settings: UserManagementServicer(Accounts(UsersRepository(database), Passwords())),
    register=add_UserManagementServiceServicer_to_server,
)
