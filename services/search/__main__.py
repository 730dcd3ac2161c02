"""Starts the search service: `python -m services.search`."""

from common.service import run
from services.search.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
