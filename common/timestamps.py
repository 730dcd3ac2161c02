"""Timestamps: whole milliseconds, held as naive datetimes in UTC, as Cassandra keeps them (contract, section 2)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = timedelta(milliseconds=1)
_MIN_SECONDS = -62_135_596_800  # 0001-01-01, the first that a protobuf Timestamp may hold
_MAX_SECONDS = 253_402_300_799  # 9999-12-31, the last
MIN_MS, MAX_MS = _MIN_SECONDS * 1000, _MAX_SECONDS * 1000 + 999
"""The milliseconds since 1970 that a datetime can hold."""

_GREGORIAN_MS = 12_219_292_800_000  # from 1582-10-15, where version-1 UUIDs begin to count, to 1970


def now() -> datetime:
    """The present time in UTC, cut to whole milliseconds."""
    present = datetime.now(UTC).replace(tzinfo=None)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)


def to_ms(timestamp: datetime) -> int:
    """Milliseconds since 1970 of a naive UTC datetime."""
    return (timestamp - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The naive UTC datetime of milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def timestamp_message(timestamp: datetime) -> Timestamp:
    """A Timestamp message of a naive UTC datetime."""
    since = timestamp - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def time_uuid_timestamp(time_uuid: UUID) -> Timestamp:
    """When a version-1 UUID was made, in whole milliseconds, as a Timestamp message."""
    seconds, milliseconds = divmod(time_uuid.time // 10_000 - _GREGORIAN_MS, 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


def from_message(sent: Timestamp) -> datetime:
    """The naive UTC datetime of a Timestamp message, cut to whole milliseconds. Raises ValueError outside the years 1 to 9999."""
    if not (_MIN_SECONDS <= sent.seconds <= _MAX_SECONDS and 0 <= sent.nanos < 1_000_000_000):
        raise ValueError("is not a timestamp between the years 1 and 9999")
    return _EPOCH + timedelta(seconds=sent.seconds, milliseconds=sent.nanos // 1_000_000)
