# Written by `make generate` from common/catalogue.py; edit that.
"""Starts CommentsService: `python -m services.comments`."""

from common.service import run
from services.comments.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
