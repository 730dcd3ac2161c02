"""Timestamps: UTC, in whole milliseconds."""

import math
from datetime import UTC, datetime, timedelta
from uuid import uuid1

from common.timestamps import now, time_uuid_timestamp


def test_now_is_utc_in_whole_milliseconds() -> None:
    timestamp = now()
    assert timestamp.microsecond % 1000 == 0
    assert abs(datetime.now(UTC).replace(tzinfo=None) - timestamp) < timedelta(seconds=5)


def test_the_time_of_a_time_uuid_is_when_it_was_made() -> None:
    before = datetime.now(UTC).timestamp()
    made = time_uuid_timestamp(uuid1())
    after = datetime.now(UTC).timestamp()
    assert math.floor(before * 1000) - 1 <= made.seconds * 1000 + made.nanos // 1_000_000 <= math.ceil(after * 1000) + 1
    assert made.nanos % 1_000_000 == 0
