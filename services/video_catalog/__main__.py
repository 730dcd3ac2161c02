# Written by `make generate` from common/catalogue.py; edit that.
"""Starts VideoCatalogService: `python -m services.video_catalog`."""

from common.service import run
from services.video_catalog.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
