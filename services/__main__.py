"""Several services in one process, on one port: `python -m services` for all seven, `python -m services comments ratings` for some.

Each is advertised under its own name at the same address, as the article did: with KILLRVIDEO_INSTANCE=killrvideo-python that gives
the article's seven keys.
"""

import sys

from common.service import Service, run
from services.comments.service import SERVICE as COMMENTS
from services.ratings.service import SERVICE as RATINGS
from services.search.service import SERVICE as SEARCH
from services.statistics.service import SERVICE as STATISTICS
from services.suggested_videos.service import SERVICE as SUGGESTED_VIDEOS
from services.user_management.service import SERVICE as USER_MANAGEMENT
from services.video_catalog.service import SERVICE as VIDEO_CATALOG

ALL: tuple[Service, ...] = (COMMENTS, RATINGS, SEARCH, STATISTICS, SUGGESTED_VIDEOS, USER_MANAGEMENT, VIDEO_CATALOG)


def main() -> None:
    """Run the services named on the command line, all of them when none is."""
    names = sys.argv[1:]
    by_slug = {service.slug: service for service in ALL}
    if unknown := [name for name in names if name not in by_slug]:
        raise SystemExit(f"no such service: {', '.join(unknown)}. There are: {', '.join(by_slug)}")
    run(*(by_slug[name] for name in dict.fromkeys(names or by_slug)))


if __name__ == "__main__":
    main()
