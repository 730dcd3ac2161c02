"""The wire interface is the one that existing clients speak: every package, service, call, message, field, number and type.

The table below is the contract's first section in its own notation. A field without a type has that of the next one that has. It says what must
be there; what was added since (calls, messages, fields, files) is in the .proto files only.
"""

import re
from importlib import import_module

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from common.catalogue import SERVICES, KnownService

CONTRACT = {
    "common": """
        package killrvideo.common
        message Uuid {value=1 string}
        message TimeUuid {value=1 string}
    """,
    "comments": """
        package killrvideo.comments
        service CommentsService
        call CommentOnVideo {video_id=1 Uuid, user_id=2 Uuid, comment_id=3 TimeUuid, comment=4 string} -> {}
        call GetUserComments {user_id=1 Uuid, page_size=2 int32, starting_comment_id=3 TimeUuid, paging_state=16 string}
            -> {user_id=1 Uuid, comments=2 repeated UserComment, paging_state=3 string}
        message UserComment {comment_id=1 TimeUuid, video_id=2 Uuid, comment=3 string, comment_timestamp=4 Timestamp}
        call GetVideoComments {video_id=1 Uuid, page_size=2 int32, starting_comment_id=3 TimeUuid, paging_state=16 string}
            -> {video_id=1 Uuid, comments=2 repeated VideoComment, paging_state=3 string}
        message VideoComment {comment_id=1 TimeUuid, user_id=2 Uuid, comment=3 string, comment_timestamp=4 Timestamp}
    """,
    "ratings": """
        package killrvideo.ratings
        service RatingsService
        call RateVideo {video_id=1 Uuid, user_id=2 Uuid, rating=3 int32} -> {}
        call GetRating {video_id=1 Uuid} -> {video_id=1 Uuid, ratings_count=2 int64, ratings_total=3 int64}
        call GetUserRating {video_id=1 Uuid, user_id=2 Uuid} -> {video_id=1 Uuid, user_id=2 Uuid, rating=3 int32}
    """,
    "search": """
        package killrvideo.search
        service SearchService
        call SearchVideos {query=1 string, page_size=2 int32, paging_state=16 string}
            -> {query=1 string, videos=2 repeated SearchResultsVideoPreview, paging_state=3 string}
        message SearchResultsVideoPreview {video_id=1 Uuid, added_date=2 Timestamp, name=3 string, preview_image_location=4 string, user_id=5 Uuid}
        call GetQuerySuggestions {query=1 string, page_size=2 int32} -> {query=1 string, suggestions=2 repeated string}
    """,
    "statistics": """
        package killrvideo.statistics
        service StatisticsService
        call RecordPlaybackStarted {video_id=1 Uuid} -> {}
        call GetNumberOfPlays {video_ids=1 repeated Uuid} -> {stats=1 repeated PlayStats}
        message PlayStats {video_id=1 Uuid, views=2 int64}
    """,
    "suggested_videos": """
        package killrvideo.suggested_videos
        service SuggestedVideoService
        call GetRelatedVideos {video_id=1 Uuid, page_size=2 int32, paging_state=16 string}
            -> {video_id=1 Uuid, videos=2 repeated SuggestedVideoPreview, paging_state=3 string}
        call GetSuggestedForUser {user_id=1 Uuid, page_size=2 int32, paging_state=16 string}
            -> {user_id=1 Uuid, videos=2 repeated SuggestedVideoPreview, paging_state=3 string}
        message SuggestedVideoPreview {video_id=1 Uuid, added_date=2 Timestamp, name=3 string, preview_image_location=4 string, user_id=5 Uuid}
    """,
    "user_management": """
        package killrvideo.user_management
        service UserManagementService
        call CreateUser {user_id=1 Uuid, first_name=2 string, last_name=3 string, email=4 string, password=5 string} -> {}
        call VerifyCredentials {email=1 string, password=2 string} -> {user_id=1 Uuid}
        call GetUserProfile {user_ids=1 repeated Uuid} -> {profiles=1 repeated UserProfile}
        message UserProfile {user_id=1 Uuid, first_name=2 string, last_name=3 string, email=4 string}
    """,
    "video_catalog": """
        package killrvideo.video_catalog
        service VideoCatalogService
        call SubmitUploadedVideo {video_id=1 Uuid, user_id=2 Uuid, name=3 string, description=4 string, tags=5 repeated string, upload_url=6 string} -> {}
        call SubmitYouTubeVideo {video_id=1 Uuid, user_id=2 Uuid, name=3 string, description=4 string, tags=5 repeated string, you_tube_video_id=6 string} -> {}
        call GetVideo {video_id=1 Uuid}
            -> {video_id=1 Uuid, user_id=2 Uuid, name=3 string, description=4 string, location=5 string,
                location_type=6 VideoLocationType, tags=7 repeated string, added_date=8 Timestamp}
        enum VideoLocationType {YOUTUBE=0, UPLOAD=1}
        call GetVideoPreviews {video_ids=1 repeated Uuid} -> {video_previews=1 repeated VideoPreview}
        message VideoPreview {video_id=1 Uuid, added_date=2 Timestamp, name=3 string, preview_image_location=4 string, user_id=5 Uuid}
        call GetLatestVideoPreviews {page_size=1 int32, starting_added_date=2 Timestamp, starting_video_id=3 Uuid, paging_state=16 string}
            -> {video_previews=1 repeated VideoPreview, paging_state=2 string}
        call GetUserVideoPreviews {user_id=1 Uuid, page_size=2 int32, starting_added_date=3 Timestamp, starting_video_id=4 Uuid, paging_state=16 string}
            -> {user_id=1 Uuid, video_previews=2 repeated VideoPreview, paging_state=3 string}
    """,
    "comments_events": """
        package killrvideo.comments.events
        message UserCommentedOnVideo {user_id=1 Uuid, video_id=2 Uuid, comment_id=3 TimeUuid, comment_timestamp=4 Timestamp}
    """,
    "ratings_events": """
        package killrvideo.ratings.events
        message UserRatedVideo {video_id=1 Uuid, user_id=2 Uuid, rating=3 int32, rating_timestamp=4 Timestamp}
    """,
    "user_management_events": """
        package killrvideo.user_management.events
        message UserCreated {user_id=1 Uuid, first_name=2, last_name=3, email=4 string, timestamp=5 Timestamp}
    """,
    "video_catalog_events": """
        package killrvideo.video_catalog.events
        message YouTubeVideoAdded {video_id=1 Uuid, user_id=2 Uuid, name=3, description=4, location=5, preview_image_location=6 string,
            tags=7 repeated string, added_date=8 Timestamp, timestamp=9 Timestamp}
    """,
}

TYPES = {
    "string": FieldDescriptor.TYPE_STRING,
    "int32": FieldDescriptor.TYPE_INT32,
    "int64": FieldDescriptor.TYPE_INT64,
}
ELSEWHERE = {
    "Uuid": "killrvideo.common.Uuid",
    "TimeUuid": "killrvideo.common.TimeUuid",
    "Timestamp": "google.protobuf.Timestamp",
}

Fields = dict[str, tuple[int, bool, str]]
"""Name -> (number, whether repeated, type)."""


class Expected:
    """What one proto file must hold, read from the notation of the contract."""

    def __init__(self, text: str) -> None:
        flat = " ".join(text.split())
        self.package = re.search(r"package (\S+)", flat)[1]  # type: ignore[index]  # every text has one
        self.services = re.findall(r"service (\w+)", flat)
        self.messages = {name: _fields(body) for name, body in re.findall(r"message (\w+) \{(.*?)\}", flat)}
        self.calls = []
        for name, request, response in re.findall(r"call (\w+) \{(.*?)\} -> \{(.*?)\}", flat):
            self.calls.append(name)
            self.messages |= {f"{name}Request": _fields(request), f"{name}Response": _fields(response)}
        self.enums = {
            name: {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", body)}
            for name, body in re.findall(r"enum (\w+) \{(.*?)\}", flat)
        }


def _fields(body: str) -> Fields:
    fields: Fields = {}
    kind = ""
    for part in reversed([part for part in body.split(",") if part.strip()]):
        name, number, repeated, own_kind = re.fullmatch(r"(\w+)=(\d+)( repeated)?(?: (\w+))?", part.strip()).groups()  # type: ignore[union-attr]
        kind = own_kind or kind
        fields[name] = (int(number), bool(repeated), kind)
    return fields


def generated(name: str) -> FileDescriptor:
    descriptor: FileDescriptor = import_module(f"protos.{name}_pb2").DESCRIPTOR
    return descriptor


def found_fields(message: Descriptor, package: str) -> Fields:
    """The fields of a generated message, types by the names of the contract."""
    names = {full: short for short, full in ELSEWHERE.items()}
    plain = {number: name for name, number in TYPES.items()}

    def kind(field: FieldDescriptor) -> str:
        of = field.message_type or field.enum_type
        return (
            names.get(of.full_name, of.full_name.removeprefix(f"{package}."))
            if of
            else plain.get(field.type, str(field.type))
        )

    return {field.name: (field.number, field.is_repeated, kind(field)) for field in message.fields}


@pytest.mark.parametrize("name", CONTRACT)
def test_the_messages_of_a_file_are_those_of_the_contract(name: str) -> None:
    expected, file = Expected(CONTRACT[name]), generated(name)
    assert file.package == expected.package
    found = {message.name: found_fields(message, file.package) for message in file.message_types_by_name.values()}
    assert expected.messages.keys() <= found.keys()
    for message, fields in expected.messages.items():
        assert fields.items() <= found[message].items(), message


@pytest.mark.parametrize("name", CONTRACT)
def test_the_enums_of_a_file_are_those_of_the_contract(name: str) -> None:
    found = {
        enum.name: {value.name: value.number for value in enum.values}
        for enum in generated(name).enum_types_by_name.values()
    }
    for enum, values in Expected(CONTRACT[name]).enums.items():
        assert values.items() <= found[enum].items(), enum


@pytest.mark.parametrize("name", CONTRACT)
def test_the_calls_of_a_file_are_those_of_the_contract(name: str) -> None:
    expected, file = Expected(CONTRACT[name]), generated(name)
    assert list(file.services_by_name) == expected.services
    for service in file.services_by_name.values():
        assert set(expected.calls) <= {method.name for method in service.methods}


@pytest.mark.parametrize("known", SERVICES.values(), ids=lambda known: known.slug)
def test_a_call_has_a_request_and_a_response_of_its_own_and_is_no_stream(known: KnownService) -> None:
    for service in generated(known.slug).services_by_name.values():
        for method in service.methods:
            assert method.input_type.name == f"{method.name}Request"
            assert method.output_type.name == f"{method.name}Response"
            assert not method.client_streaming
            assert not method.server_streaming


def test_the_table_is_the_size_of_the_contract() -> None:
    """A typing error in the notation must not make the table shorter than it is."""
    everything = [Expected(text) for text in CONTRACT.values()]
    assert sum(len(expected.services) for expected in everything) == 7
    assert sum(len(expected.calls) for expected in everything) == 21
    assert sum(len(expected.messages) for expected in everything) == 2 + 2 * 21 + 7 + 4
