"""`python -m tests.fuzz.served comments`: a service on asyncio's own loop, with its steps measured.

At each SIGUSR1 it prints which step was the longest since the one before, or since its start.
"""

import signal
import sys
from importlib import import_module

from common.catalogue import SERVICES
from common.service import run
from tests.fuzz.holds import measured_holds

LINE = "longest step {} ms of {}"


def main() -> None:
    """Serve until SIGTERM."""
    # uvloop runs its steps where they cannot be measured one by one.
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # "not installed"
    [slug] = sys.argv[1:]
    known = next(known for known in SERVICES.values() if known.slug == slug)
    with measured_holds() as holds:

        def tell(*_: object) -> None:
            print(LINE.format(f"{holds.longest * 1000:.1f}", holds.what), flush=True)
            holds.reset()

        signal.signal(signal.SIGUSR1, tell)
        run(import_module(f"{known.module}.service").SERVICE)


if __name__ == "__main__":
    main()
