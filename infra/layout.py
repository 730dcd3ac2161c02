"""Where things lie: the checkout, and .local/ below it, which git does not see. Standard library only: it is read before the set-up."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"

VENV = LOCAL / "venv"
PYTHON = VENV / "bin" / "python"

CASSANDRA_VERSION = "5.0.9"
CASSANDRA_JARS = LOCAL / f"cassandra-{CASSANDRA_VERSION}" / "jars"
