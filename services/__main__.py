"""Several services in one process, on one port: `python -m services` for all, `python -m services comments ratings` for some.

Each is advertised under its own name at the same address, as the article did: with KILLRVIDEO_INSTANCE=killrvideo-python that gives
the article's seven keys.
"""

import sys
from importlib import import_module

from common.catalogue import SERVICES, KnownService
from common.service import Service, run


def load_service(known: KnownService) -> Service:
    """The service of a line of the catalogue; its package is imported only now."""
    service: Service = import_module(f"{known.module}.service").SERVICE
    return service


def main() -> None:
    """Run the services named on the command line, all of them when none is."""
    slugs = sys.argv[1:]
    by_slug = {known.slug: known for known in SERVICES.values()}
    if unknown := [slug for slug in slugs if slug not in by_slug]:
        raise SystemExit(f"no such service: {', '.join(unknown)}. There are: {', '.join(by_slug)}")
    run(*(load_service(by_slug[slug]) for slug in dict.fromkeys(slugs or by_slug)))


if __name__ == "__main__":
    main()
