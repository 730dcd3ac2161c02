"""Reading requests and building answers: the rules of the contract's second section that all calls share."""

import functools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid1, uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from common.messages import (
    Fields,
    cassandra_time_uuid_order,
    cassandra_uuid_order,
    from_ms,
    now,
    time_of,
    timestamp,
    to_ms,
    uuid_message,
)
from grpc_discovery import InvalidArgument
from protos.comments_pb2 import CommentOnVideoRequest, GetUserCommentsRequest
from protos.common_pb2 import TimeUuid, Uuid
from protos.ratings_pb2 import RateVideoRequest
from protos.statistics_pb2 import GetNumberOfPlaysRequest
from protos.video_catalog_pb2 import GetLatestVideoPreviewsRequest

quick = settings(deadline=None)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


def violations(read: Callable[[Fields], object], request: Any) -> dict[str, str]:
    """What `check` finds after `read`."""
    fields = Fields(request)
    read(fields)
    try:
        fields.check()
    except InvalidArgument as error:
        return error.violations
    return {}


@quick
@given(st.uuids(), st.booleans())
def test_an_id_is_read_in_any_case(value: UUID, upper: bool) -> None:
    text = str(value).upper() if upper else str(value)
    fields = Fields(RateVideoRequest(video_id=Uuid(value=text)))
    assert fields.uuid("video_id") == value
    fields.check()


@quick
@given(st.text())
def test_a_text_that_is_no_uuid_of_36_characters_is_refused(text: str) -> None:
    try:
        request = RateVideoRequest(video_id=Uuid(value=text))
    except UnicodeEncodeError:
        return  # such a text cannot be sent
    assert set(violations(lambda fields: fields.uuid("video_id"), request)) == {"video_id"}


@pytest.mark.parametrize(
    "spelling",
    ["{{{}}}", "urn:uuid:{}", " {}", "{} ", "{}\n", "0{}"],
)
def test_other_spellings_of_an_id_are_refused(spelling: str) -> None:
    request = RateVideoRequest(video_id=Uuid(value=spelling.format(uuid4())))
    assert set(violations(lambda fields: fields.uuid("video_id"), request)) == {"video_id"}
    without_dashes = RateVideoRequest(video_id=Uuid(value=uuid4().hex))
    assert set(violations(lambda fields: fields.uuid("video_id"), without_dashes)) == {"video_id"}
    other_digits = RateVideoRequest(video_id=Uuid(value=str(uuid4())[:-1] + "٣"))
    assert set(violations(lambda fields: fields.uuid("video_id"), other_digits)) == {"video_id"}


def test_a_missing_id_and_an_empty_one_are_refused_and_optional_ones_count_as_not_sent() -> None:
    for request in (GetUserCommentsRequest(), GetUserCommentsRequest(user_id=Uuid(), starting_comment_id=TimeUuid())):
        assert violations(lambda fields: fields.uuid("user_id"), request) == {"user_id": "is required"}
        assert Fields(request).optional_time_uuid("starting_comment_id") is None
        assert not violations(lambda fields: fields.optional_uuid("user_id"), request)


def test_an_optional_id_that_is_sent_must_be_one() -> None:
    request = GetUserCommentsRequest(starting_comment_id=TimeUuid(value="nope"))
    assert set(violations(lambda fields: fields.optional_time_uuid("starting_comment_id"), request)) == {
        "starting_comment_id"
    }


@quick
@given(st.uuids())
def test_a_comment_id_must_be_of_version_1(value: UUID) -> None:
    request = CommentOnVideoRequest(comment_id=TimeUuid(value=str(value)))
    assert bool(violations(lambda fields: fields.time_uuid("comment_id"), request)) == (value.version != 1)
    assert not violations(
        lambda fields: fields.time_uuid("comment_id"), CommentOnVideoRequest(comment_id=TimeUuid(value=str(uuid1())))
    )


@pytest.mark.parametrize(("number", "fine"), [(0, False), (1, True), (200, True), (201, False)])
def test_a_call_asks_for_1_to_200_ids(number: int, fine: bool) -> None:
    request = GetNumberOfPlaysRequest(video_ids=[Uuid(value=str(uuid4()))] * number)
    assert (not violations(lambda fields: fields.uuids("video_ids"), request)) == fine


def test_ids_come_in_their_order_each_as_often_as_asked() -> None:
    first, second = uuid4(), uuid4()
    asked = [second, first, second]
    assert Fields(GetNumberOfPlaysRequest(video_ids=map(uuid_message, asked))).uuids("video_ids") == asked


@quick
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 20))
def test_a_text_is_bounded_in_code_points_and_comes_back_as_sent(text: str, most: int) -> None:
    request = CommentOnVideoRequest(comment=text)
    assert Fields(request).text("comment", most) == text
    found = violations(lambda fields: fields.text("comment", most), request)
    assert bool(found) == (len(text) > most or not text.strip())
    assert bool(violations(lambda fields: fields.text("comment", most, blank_allowed=True), request)) == (
        len(text) > most
    )


def test_a_character_is_a_code_point() -> None:
    request = CommentOnVideoRequest(comment="🥧" * 5000)
    assert not violations(lambda fields: fields.text("comment", 5000), request)


@quick
@given(st.integers(-(2**31), 2**31 - 1))
def test_a_page_has_1_to_1000_rows(size: int) -> None:
    request = GetUserCommentsRequest(page_size=size)
    assert bool(violations(lambda fields: fields.page_size(), request)) == (not 1 <= size <= 1000)


def test_every_bad_field_is_named_at_once_in_words_for_a_person() -> None:
    fields = Fields(RateVideoRequest(video_id=Uuid(value="nope"), rating=9))
    fields.uuid("video_id")
    fields.uuid("user_id")
    fields.integer("rating", 1, 5)
    with pytest.raises(InvalidArgument) as raised:
        fields.check()
    assert set(raised.value.violations) == {"video_id", "user_id", "rating"}
    assert "video_id is not a UUID: 'nope'" in raised.value.message
    assert "rating must be 1 to 5, not 9" in raised.value.message


@quick
@given(moments)
def test_a_moment_in_milliseconds_comes_back(moment: datetime) -> None:
    assert from_ms(to_ms(moment)) == moment
    assert timestamp(moment).ToDatetime() == moment
    request = GetLatestVideoPreviewsRequest(starting_added_date=timestamp(moment))
    assert Fields(request).optional_timestamp("starting_added_date") == moment


@quick
@given(moments, st.integers(0, 999_999))
def test_a_starting_point_is_cut_to_whole_milliseconds(moment: datetime, nanoseconds: int) -> None:
    sent = timestamp(moment)
    sent.nanos += nanoseconds
    request = GetLatestVideoPreviewsRequest(starting_added_date=sent)
    assert Fields(request).optional_timestamp("starting_added_date") == moment


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-62_135_596_801, 0), (253_402_300_800, 0), (2**62, 0), (0, -1), (0, 1_000_000_000)],
)
def test_a_timestamp_that_is_no_moment_is_refused(seconds: int, nanos: int) -> None:
    request = GetLatestVideoPreviewsRequest(starting_added_date=Timestamp(seconds=seconds, nanos=nanos))
    found = violations(lambda fields: fields.optional_timestamp("starting_added_date"), request)
    assert set(found) == {"starting_added_date"}


def test_a_timestamp_that_was_not_sent_is_none_and_one_of_1970_is_not() -> None:
    assert Fields(GetLatestVideoPreviewsRequest()).optional_timestamp("starting_added_date") is None
    request = GetLatestVideoPreviewsRequest(starting_added_date=Timestamp())
    assert Fields(request).optional_timestamp("starting_added_date") == datetime(1970, 1, 1)


def test_now_is_utc_in_whole_milliseconds() -> None:
    moment = now()
    assert moment.microsecond % 1000 == 0
    assert abs(datetime.now(UTC).replace(tzinfo=None) - moment) < timedelta(seconds=5)


def test_the_time_of_a_time_uuid_is_when_it_was_made() -> None:
    before = datetime.now(UTC).timestamp()
    made = time_of(uuid1())
    after = datetime.now(UTC).timestamp()
    assert math.floor(before * 1000) - 1 <= made.seconds * 1000 + made.nanos // 1_000_000 <= math.ceil(after * 1000) + 1
    assert made.nanos % 1_000_000 == 0


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


@quick
@given(st.lists(time_uuids, max_size=20))
def test_time_uuids_are_ordered_as_cassandra_orders_them(ids: list[UUID]) -> None:
    expected = sorted(ids, key=functools.cmp_to_key(_time_uuid_comparison))
    assert sorted(ids, key=cassandra_time_uuid_order) == expected


@quick
@given(st.lists(st.one_of(time_uuids, st.uuids(), st.uuids(version=4)), max_size=20))
def test_uuids_are_ordered_as_cassandra_orders_them(ids: list[UUID]) -> None:
    expected = sorted(ids, key=functools.cmp_to_key(_uuid_comparison))
    assert sorted(ids, key=cassandra_uuid_order) == expected
