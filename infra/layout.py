"""Where things are: the checkout, and .local/ below it, which git does not see. Standard library only: it is read before the set-up."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Elsewhere than in the checkout only for the tests of the commands, which must not touch what a person runs.
LOCAL = Path(os.environ.get("KILLRVIDEO_LOCAL") or ROOT / ".local").absolute()

# Increased when .local/ changes so that an older one cannot be used.
LAYOUT = "1"

VENV = LOCAL / "venv"
PYTHON = VENV / "bin" / "python"

CASSANDRA_VERSION = "5.0.9"
CASSANDRA_JARS = LOCAL / f"cassandra-{CASSANDRA_VERSION}" / "jars"

DATA = LOCAL / "data"
LOGS = LOCAL / "log"
RUN = LOCAL / "run"
