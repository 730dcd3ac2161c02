"""`make containers`: builds the image, brings up each compose file, uses it, scales it, stops it, and removes what it made.

python -m deploy                  all trials
python -m deploy desktop dns      some
"""

import argparse
import sys
import time

from deploy.engine import EngineError, image_removed_after, missing
from deploy.trials import TRIALS


def main() -> None:
    """Run the trials that the command line names; exit code 1 if one fails, 2 where there is no engine."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy", description="Tries the image and every compose file for real. Needs Docker."
    )
    parser.add_argument(
        "trials", nargs="*", metavar="TRIAL", help=f"some of: {', '.join(TRIALS)}; default: all, in this order"
    )
    parser.add_argument("--keep-image", action="store_true", help="keep the image that was built")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.trials if name not in TRIALS]:
        parser.error(f"no such trial: {', '.join(unknown)}. There are: {', '.join(TRIALS)}")
    if reason := missing():
        print(reason, file=sys.stderr)
        sys.exit(2)

    try:
        failed = run_trials(
            list(dict.fromkeys(["image", *arguments.trials])) if arguments.trials else list(TRIALS),
            arguments.keep_image,
        )
    except KeyboardInterrupt:
        print("stopped; what was made is removed", file=sys.stderr)
        sys.exit(130)
    sys.exit(1 if failed else 0)


def run_trials(names: list[str], keep_image: bool) -> bool:
    """Run the trials and print what each measured. Returns whether one failed."""
    failed = False
    with image_removed_after(keep_image):
        for name in names:
            began = time.monotonic()
            print(f"{name}: {TRIALS[name].__doc__}", flush=True)
            try:
                measured = TRIALS[name]()
            except EngineError as error:
                failed = True
                print(f"{name}: FAILED after {time.monotonic() - began:.0f} s: {error}", flush=True)
            else:
                print(
                    f"{name}: ok in {time.monotonic() - began:.0f} s; {', '.join(f'{key}: {value}' for key, value in measured.items())}",
                    flush=True,
                )
    return failed


if __name__ == "__main__":
    main()
