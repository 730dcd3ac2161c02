"""What Cassandra's clock says: the node's that answers."""

from datetime import datetime
from typing import NamedTuple

from common.database.interface import Select


class ClockRow(NamedTuple):
    """The time of the node that answers, in whole milliseconds."""

    timestamp: datetime


CLOCK = Select("SELECT toTimestamp(now()) FROM system.local", ClockRow)
