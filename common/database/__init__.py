"""The database behind one small interface. Nothing of a driver leaks out: no type, no exception, no future.

A repository lists its statements at its top and calls them with positional values:

    LATEST = Select("SELECT commentid, userid FROM comments_by_video WHERE videoid = ? LIMIT ?", CommentRow)
    INSERT = Write("INSERT INTO comments_by_video (videoid, commentid, userid) VALUES (?, ?, ?)")
    rows = await database.select(LATEST, video_id, 11)

Timestamps are naive datetimes in UTC, in whole milliseconds; ids are UUIDs, or texts where the row declares IdText; `IN ?` takes a list.
"""

from common.database.availability import explained
from common.database.clock import CLOCK, ClockRow
from common.database.factory import connect, wait_for_database
from common.database.interface import (
    Database,
    DatabaseError,
    IdText,
    Outcome,
    Select,
    Statement,
    Values,
    Write,
    WriteIf,
)
from common.database.repeating import settled

__all__ = [
    "CLOCK",
    "ClockRow",
    "Database",
    "DatabaseError",
    "IdText",
    "Outcome",
    "Select",
    "Statement",
    "Values",
    "Write",
    "WriteIf",
    "connect",
    "explained",
    "settled",
    "wait_for_database",
]
