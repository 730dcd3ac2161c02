# Written by `make generate` from common/catalogue.py; edit that.
"""Starts StatisticsService: `python -m services.statistics`."""

from common.service import run
from services.statistics.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
