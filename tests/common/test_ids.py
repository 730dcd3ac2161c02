"""Ids in messages, and the orders in which Cassandra keeps them."""

import functools
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from common.ids import cassandra_time_uuid_order, cassandra_uuid_order, uuid_message

time_uuids = st.builds(
    lambda time, rest: UUID(
        fields=(time & 0xFFFFFFFF, time >> 32 & 0xFFFF, 0x1000 | time >> 48, *rest.to_bytes(2, "big"), 0)
    ),
    st.integers(0, 2**60 - 1),
    st.integers(0x8000, 0xBFFF),
)


def _signed(value: bytes) -> tuple[int, ...]:
    return tuple(byte - 256 if byte > 127 else byte for byte in value)


def _time_uuid_comparison(one: UUID, other: UUID) -> int:
    """As Cassandra's TimeUUIDType compares: by time, then the last eight bytes as signed ones."""
    return _compared((one.time, _signed(one.bytes[8:])), (other.time, _signed(other.bytes[8:])))


def _uuid_comparison(one: UUID, other: UUID) -> int:
    """As Cassandra's UUIDType compares: by version, those of version 1 by time first, then all bytes as unsigned ones."""
    versions = _compared(one.bytes[6] >> 4, other.bytes[6] >> 4)
    if versions:
        return versions
    times = _compared(one.time, other.time) if one.bytes[6] >> 4 == 1 else 0
    return times or _compared(one.bytes, other.bytes)


def _compared(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def test_an_id_that_a_row_lacks_is_all_zeros() -> None:
    assert uuid_message(None).value == "00000000-0000-0000-0000-000000000000"


@given(st.lists(time_uuids, max_size=20))
def test_time_uuids_are_ordered_as_cassandra_orders_them(ids: list[UUID]) -> None:
    expected = sorted(ids, key=functools.cmp_to_key(_time_uuid_comparison))
    assert sorted(ids, key=cassandra_time_uuid_order) == expected


@given(st.lists(st.one_of(time_uuids, st.uuids(), st.uuids(version=4)), max_size=20))
def test_uuids_are_ordered_as_cassandra_orders_them(ids: list[UUID]) -> None:
    expected = sorted(ids, key=functools.cmp_to_key(_uuid_comparison))
    assert sorted(ids, key=cassandra_uuid_order) == expected
