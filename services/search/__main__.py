# Written by `make generate` from common/catalogue.py; edit that.
"""Starts SearchService: `python -m services.search`."""

from common.service import run
from services.search.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
