"""Reading requests and building answers: ids, timestamps, texts. The rules are section 2 of the contract.

An id is the 36-character form of a UUID in any case. A timestamp is a whole number of milliseconds, held as a naive datetime in UTC.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from common.paging import Pages, Position
from grpc_discovery import InvalidArgument
from protos.common_pb2 import TimeUuid, Uuid

MOST_IDS = 200
MOST_ROWS = 1000

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = timedelta(milliseconds=1)
_EARLIEST_SECOND = -62_135_596_800  # 0001-01-01, the first that a protobuf Timestamp may hold
_LATEST_SECOND = 253_402_300_799  # 9999-12-31, the last
_GREGORIAN_MS = 12_219_292_800_000  # from 1582-10-15, where version-1 UUIDs begin to count, to 1970
NIL = UUID(int=0)


class _Id(Protocol):
    value: str


def now() -> datetime:
    """The present moment in UTC, cut to whole milliseconds as Cassandra keeps it."""
    moment = datetime.now(UTC).replace(tzinfo=None)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of a naive UTC datetime."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The naive UTC datetime of milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def timestamp(moment: datetime) -> Timestamp:
    """A Timestamp message of a naive UTC datetime."""
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def time_of(time_uuid: UUID) -> Timestamp:
    """When a version-1 UUID was made, in whole milliseconds, as a Timestamp message."""
    seconds, milliseconds = divmod(time_uuid.time // 10_000 - _GREGORIAN_MS, 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


def uuid_message(value: UUID | str | None) -> Uuid:
    """A Uuid message, in lower case; all zeros where a row of another tool lacks the id, because every id in an answer is set."""
    return Uuid(value=str(value or NIL))


def time_uuid_message(value: UUID) -> TimeUuid:
    """A TimeUuid message, in lower case."""
    return TimeUuid(value=str(value))


def cassandra_time_uuid_order(value: UUID) -> tuple[int, bytes]:
    """A sort key that orders version-1 UUIDs as a timeuuid column does: by time, then the last eight bytes as signed ones."""
    return value.time, bytes(byte ^ 0x80 for byte in value.bytes[8:])


def cassandra_uuid_order(value: UUID) -> tuple[int, int, bytes]:
    """A sort key that orders UUIDs as a uuid column does: by version, version 1 by its time, then by bytes."""
    version = value.bytes[6] >> 4
    return version, value.time if version == 1 else 0, value.bytes


class Fields:
    """The fields of one request, read one after another; `check` then raises one InvalidArgument that names all the bad ones."""

    def __init__(self, request: Message) -> None:
        self._request = request
        self._violations: dict[str, str] = {}

    def bad(self, name: str, description: str) -> None:
        """Note that a field is bad; the first description of a field stays."""
        self._violations.setdefault(name, description)

    def check(self) -> None:
        """Raise InvalidArgument if any field read so far was bad."""
        if self._violations:
            raise InvalidArgument(self._violations)

    def uuid(self, name: str) -> UUID:
        """A required UUID."""
        return self._id(name, self._id_text(name))

    def optional_uuid(self, name: str) -> UUID | None:
        """A UUID, or None where it is empty or was not sent."""
        text = self._id_text(name)
        return self._id(name, text) if text else None

    def time_uuid(self, name: str) -> UUID:
        """A required version-1 UUID."""
        return self._time_id(name, self._id_text(name))

    def optional_time_uuid(self, name: str) -> UUID | None:
        """A version-1 UUID, or None where it is empty or was not sent."""
        text = self._id_text(name)
        return self._time_id(name, text) if text else None

    def uuids(self, name: str, most: int = MOST_IDS) -> list[UUID]:
        """One to `most` UUIDs."""
        ids: list[_Id] = getattr(self._request, name)
        if not 1 <= len(ids) <= most:
            self.bad(name, f"must hold 1 to {most} ids, not {len(ids)}")
            return []
        return [self._id(name, each.value) for each in ids]

    def text(self, name: str, most: int, blank_allowed: bool = False) -> str:
        """A text of at most `most` characters (code points), as it was sent; not blank unless that is allowed."""
        text: str = getattr(self._request, name)
        if len(text) > most:
            self.bad(name, f"must have at most {most:,} characters, not {len(text):,}")
        elif not blank_allowed and not text.strip():
            self.bad(name, "must not be blank")
        return text

    def integer(self, name: str, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        number: int = getattr(self._request, name)
        if not least <= number <= most:
            self.bad(name, f"must be {least} to {most}, not {number}")
        return number

    def page_size(self) -> int:
        """How many rows a page shall have, 1 to 1000."""
        return self.integer("page_size", 1, MOST_ROWS)

    def position(self, pages: Pages, list_key: str, named_by: str = "") -> Position | None:
        """Where the paging_state of the request left off in the list `list_key`; None at its start.

        `named_by` is the field that names the list: where that is bad, nothing can be said of the token.
        """
        if named_by in self._violations:
            return None
        try:
            return pages.read(self._request.paging_state, list_key)  # type: ignore[attr-defined]  # of every paged request
        except InvalidArgument as refused:
            self._violations.update(refused.violations)
            return None

    def optional_timestamp(self, name: str) -> datetime | None:
        """A moment cut to whole milliseconds, or None where it was not sent."""
        if not self._request.HasField(name):
            return None
        sent: Timestamp = getattr(self._request, name)
        if not (_EARLIEST_SECOND <= sent.seconds <= _LATEST_SECOND and 0 <= sent.nanos < 1_000_000_000):
            self.bad(name, "is not a moment between the years 1 and 9999")
            return None
        return _EPOCH + timedelta(seconds=sent.seconds, milliseconds=sent.nanos // 1_000_000)

    def _id_text(self, name: str) -> str:
        sent: _Id = getattr(self._request, name)
        return sent.value

    def _id(self, name: str, text: str) -> UUID:
        if _UUID.fullmatch(text):
            return UUID(text)
        self.bad(name, f"is not a UUID: {text[:50]!r}" if text else "is required")
        return NIL

    def _time_id(self, name: str, text: str) -> UUID:
        value = self._id(name, text)
        if value is not NIL and value.version != 1:
            self.bad(name, f"is not a version-1 UUID: {text!r}")
        return value
