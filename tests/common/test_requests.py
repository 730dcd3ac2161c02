"""Reading requests and building answers: the rules of the contract's second section that all calls share."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid1, uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from common.ids import uuid_message
from common.requests import RequestReader
from common.timestamps import from_ms, timestamp_message, to_ms
from grpc_discovery import InvalidArgument
from protos.comments_pb2 import CommentOnVideoRequest, GetUserCommentsRequest
from protos.common_pb2 import TimeUuid, Uuid
from protos.ratings_pb2 import RateVideoRequest
from protos.statistics_pb2 import GetNumberOfPlaysRequest
from protos.video_catalog_pb2 import GetLatestVideoPreviewsRequest

timestamps = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)).map(
    lambda timestamp: timestamp.replace(microsecond=timestamp.microsecond // 1000 * 1000)
)


def violations(read: Callable[[RequestReader], object], request: Any) -> dict[str, str]:
    """What `raise_if_invalid` finds after `read`."""
    reader = RequestReader(request)
    read(reader)
    try:
        reader.raise_if_invalid()
    except InvalidArgument as error:
        return error.violations
    return {}


@given(st.uuids(), st.booleans())
def test_an_id_is_read_in_any_case(value: UUID, upper: bool) -> None:
    text = str(value).upper() if upper else str(value)
    reader = RequestReader(RateVideoRequest(video_id=Uuid(value=text)))
    assert reader.uuid("video_id") == value
    reader.raise_if_invalid()


@given(st.text())
def test_a_text_that_is_no_uuid_of_36_characters_is_refused(text: str) -> None:
    try:
        request = RateVideoRequest(video_id=Uuid(value=text))
    except UnicodeEncodeError:
        return  # such a text cannot be sent
    assert set(violations(lambda reader: reader.uuid("video_id"), request)) == {"video_id"}


@pytest.mark.parametrize(
    "spelling",
    ["{{{}}}", "urn:uuid:{}", " {}", "{} ", "{}\n", "0{}"],
)
def test_other_spellings_of_an_id_are_refused(spelling: str) -> None:
    request = RateVideoRequest(video_id=Uuid(value=spelling.format(uuid4())))
    assert set(violations(lambda reader: reader.uuid("video_id"), request)) == {"video_id"}
    without_dashes = RateVideoRequest(video_id=Uuid(value=uuid4().hex))
    assert set(violations(lambda reader: reader.uuid("video_id"), without_dashes)) == {"video_id"}
    other_digits = RateVideoRequest(video_id=Uuid(value=str(uuid4())[:-1] + "٣"))
    assert set(violations(lambda reader: reader.uuid("video_id"), other_digits)) == {"video_id"}


def test_a_missing_id_and_an_empty_one_are_refused_and_optional_ones_count_as_not_sent() -> None:
    for request in (GetUserCommentsRequest(), GetUserCommentsRequest(user_id=Uuid(), starting_comment_id=TimeUuid())):
        assert violations(lambda reader: reader.uuid("user_id"), request) == {"user_id": "is required"}
        assert RequestReader(request).optional_time_uuid("starting_comment_id") is None
        assert not violations(lambda reader: reader.optional_uuid("user_id"), request)


def test_an_optional_id_that_is_sent_must_be_one() -> None:
    request = GetUserCommentsRequest(starting_comment_id=TimeUuid(value="nope"))
    assert set(violations(lambda reader: reader.optional_time_uuid("starting_comment_id"), request)) == {
        "starting_comment_id"
    }


@given(st.uuids())
def test_a_comment_id_must_be_of_version_1(value: UUID) -> None:
    request = CommentOnVideoRequest(comment_id=TimeUuid(value=str(value)))
    assert bool(violations(lambda reader: reader.time_uuid("comment_id"), request)) == (value.version != 1)
    assert not violations(
        lambda reader: reader.time_uuid("comment_id"), CommentOnVideoRequest(comment_id=TimeUuid(value=str(uuid1())))
    )


@pytest.mark.parametrize(("number", "fine"), [(0, False), (1, True), (200, True), (201, False)])
def test_a_call_asks_for_1_to_200_ids(number: int, fine: bool) -> None:
    request = GetNumberOfPlaysRequest(video_ids=[Uuid(value=str(uuid4()))] * number)
    assert (not violations(lambda reader: reader.uuids("video_ids"), request)) == fine


def test_ids_come_in_their_order_each_as_often_as_asked() -> None:
    first, second = uuid4(), uuid4()
    asked = [second, first, second]
    assert RequestReader(GetNumberOfPlaysRequest(video_ids=map(uuid_message, asked))).uuids("video_ids") == asked


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 20))
def test_a_text_is_bounded_in_code_points_and_comes_back_as_sent(text: str, limit: int) -> None:
    request = CommentOnVideoRequest(comment=text)
    assert RequestReader(request).text("comment", limit) == text
    found = violations(lambda reader: reader.text("comment", limit), request)
    assert bool(found) == (len(text) > limit or not text.strip())
    assert bool(violations(lambda reader: reader.text("comment", limit, blank_allowed=True), request)) == (
        len(text) > limit
    )


def test_a_character_is_a_code_point() -> None:
    request = CommentOnVideoRequest(comment="🥧" * 5000)
    assert not violations(lambda reader: reader.text("comment", 5000), request)


@given(st.integers(-(2**31), 2**31 - 1))
def test_a_page_has_1_to_1000_rows(size: int) -> None:
    request = GetUserCommentsRequest(page_size=size)
    assert bool(violations(lambda reader: reader.page_size(), request)) == (not 1 <= size <= 1000)


def test_every_bad_field_is_named_at_once_in_words_for_a_person() -> None:
    reader = RequestReader(RateVideoRequest(video_id=Uuid(value="nope"), rating=9))
    reader.uuid("video_id")
    reader.uuid("user_id")
    reader.integer("rating", 1, 5)
    with pytest.raises(InvalidArgument) as raised:
        reader.raise_if_invalid()
    assert set(raised.value.violations) == {"video_id", "user_id", "rating"}
    assert "video_id is not a UUID: 'nope'" in raised.value.message
    assert "rating must be 1 to 5, not 9" in raised.value.message


@given(timestamps)
def test_a_moment_in_milliseconds_comes_back(timestamp: datetime) -> None:
    assert from_ms(to_ms(timestamp)) == timestamp
    assert timestamp_message(timestamp).ToDatetime() == timestamp
    request = GetLatestVideoPreviewsRequest(starting_added_date=timestamp_message(timestamp))
    assert RequestReader(request).optional_timestamp("starting_added_date") == timestamp


@given(timestamps, st.integers(0, 999_999))
def test_a_starting_point_is_cut_to_whole_milliseconds(timestamp: datetime, nanoseconds: int) -> None:
    sent = timestamp_message(timestamp)
    sent.nanos += nanoseconds
    request = GetLatestVideoPreviewsRequest(starting_added_date=sent)
    assert RequestReader(request).optional_timestamp("starting_added_date") == timestamp


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-62_135_596_801, 0), (253_402_300_800, 0), (2**62, 0), (0, -1), (0, 1_000_000_000)],
)
def test_a_timestamp_that_is_not_one_is_refused(seconds: int, nanos: int) -> None:
    request = GetLatestVideoPreviewsRequest(starting_added_date=Timestamp(seconds=seconds, nanos=nanos))
    found = violations(lambda reader: reader.optional_timestamp("starting_added_date"), request)
    assert set(found) == {"starting_added_date"}


def test_a_timestamp_that_was_not_sent_is_none_and_one_of_1970_is_not() -> None:
    assert RequestReader(GetLatestVideoPreviewsRequest()).optional_timestamp("starting_added_date") is None
    request = GetLatestVideoPreviewsRequest(starting_added_date=Timestamp())
    assert RequestReader(request).optional_timestamp("starting_added_date") == datetime(1970, 1, 1)
