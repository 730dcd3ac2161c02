# Written by `make generate` from common/catalogue.py; edit that.
"""Starts RatingsService: `python -m services.ratings`."""

from common.service import run
from services.ratings.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
