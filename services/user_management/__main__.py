# Written by `make generate` from common/catalogue.py; edit that.
"""Starts UserManagementService: `python -m services.user_management`."""

from common.service import run
from services.user_management.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
