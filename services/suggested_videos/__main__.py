# Written by `make generate` from common/catalogue.py; edit that.
"""Starts SuggestedVideoService: `python -m services.suggested_videos`. With `refresh` as its first argument it does what refresh.py says instead."""

import sys

from common.service import run
from services.suggested_videos.refresh import main
from services.suggested_videos.service import SERVICE

if __name__ == "__main__":
    if sys.argv[1:2] == ["refresh"]:
        main(sys.argv[2:])
    else:
        run(SERVICE)
