"""Dating comments at loading. The id of a comment, a version-1 UUID, is its date, and the ids of files are as old as the files.

A comment gets an id whose time follows from when its data set was loaded, and whose other half follows from the id in the file. So the
order of the file is kept, and a second load recognizes what is there.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

_FIRST_DAY = datetime(1582, 10, 15, tzinfo=UTC)  # version-1 UUIDs count from here, in units of 100 ns
_UNITS_PER_MICROSECOND = 10
_STEP = 1000
"""Between two comments, in these units: less than a call takes, so that no comment is dated in the future."""

_HALF = 64
_VERSION_1 = 1 << 12
_VARIANT = 0b10 << 62
_MULTICAST = 1 << 40  # the mark of a node that is no network card (RFC 9562, section 6.10)


def ids_at_loading(ids_in_file: Iterable[UUID], loaded: datetime) -> dict[UUID, UUID]:
    """For each id of a file one that dates its comment just after `loaded`, a datetime with its time zone; the oldest first."""
    first = (loaded - _FIRST_DAY) // timedelta(microseconds=1) * _UNITS_PER_MICROSECOND
    in_order = sorted(set(ids_in_file), key=lambda comment_id: (comment_id.time, comment_id))
    return {
        comment_id: _time_uuid(first + number * _STEP, _second_half(comment_id))
        for number, comment_id in enumerate(in_order, 1)
    }


class CommentsThere:
    """The comments that a video has already."""

    def __init__(self, ids: Iterable[UUID]) -> None:
        self._ids = set(ids)
        self._second_halves = {_half_of(one) for one in self._ids}

    def __contains__(self, id_in_file: UUID) -> bool:
        """Whether the comment was loaded, at whatever time, or has its id of the file."""
        return _second_half(id_in_file) in self._second_halves or id_in_file in self._ids


def _time_uuid(time: int, second_half: int) -> UUID:
    low, middle, high = time & 0xFFFF_FFFF, time >> 32 & 0xFFFF, time >> 48 & 0x0FFF
    return UUID(int=(low << 32 | middle << 16 | _VERSION_1 | high) << _HALF | second_half)


def _second_half(id_in_file: UUID) -> int:
    """What makes the id of a loaded comment one of a kind: clock sequence and node."""
    drawn = int.from_bytes(blake2b(id_in_file.bytes, digest_size=8, person=b"sampledata").digest(), "big")
    return drawn & ~(0b11 << 62) | _VARIANT | _MULTICAST


def _half_of(comment_id: UUID) -> int:
    return comment_id.int & (1 << _HALF) - 1
