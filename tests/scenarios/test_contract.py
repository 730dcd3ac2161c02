"""The contract, rule by rule, over the wire: all seven processes, a real Cassandra, and calls as an existing client makes them."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.scenarios.wire import Wire, all_pages, create_user, eventually, new_id, new_word, refused, submit, t, u

INVALID = grpc.StatusCode.INVALID_ARGUMENT

LISTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GetUserComments", "user_id", {}),
    ("GetVideoComments", "video_id", {}),
    ("GetRelatedVideos", "video_id", {}),
    ("GetSuggestedForUser", "user_id", {}),
    ("GetUserVideoPreviews", "user_id", {}),
    ("GetLatestVideoPreviews", "", {}),
    ("SearchVideos", "", {"query": "police"}),
]


def fields_of(id_field: str, more: dict[str, Any]) -> dict[str, Any]:
    return {**more, **({id_field: u(new_id())} if id_field else {})}


class TestEveryCall:
    @pytest.mark.parametrize(("method", "id_field", "more"), LISTS)
    @pytest.mark.parametrize("size", [0, -1, 1001, 2**31 - 1])
    def test_a_page_size_outside_1_to_1000_is_invalid(
        self, wire: Wire, method: str, id_field: str, more: dict[str, Any], size: int
    ) -> None:
        with refused(INVALID, "page_size"):
            getattr(wire, method)(page_size=size, **fields_of(id_field, more))

    @pytest.mark.parametrize(("method", "id_field", "more"), LISTS)
    @pytest.mark.parametrize("size", [1, 1000])
    def test_page_sizes_from_1_to_1000_are_taken(
        self, wire: Wire, method: str, id_field: str, more: dict[str, Any], size: int
    ) -> None:
        getattr(wire, method)(page_size=size, **fields_of(id_field, more))

    @pytest.mark.parametrize(("method", "id_field", "more"), LISTS)
    @pytest.mark.parametrize("token", ["nope", "AAAA", "é", "x" * 10_000, "=", "../..", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
    def test_a_forged_token_is_invalid(
        self, wire: Wire, method: str, id_field: str, more: dict[str, Any], token: str
    ) -> None:
        with refused(INVALID, "paging_state"):
            getattr(wire, method)(page_size=5, paging_state=token, **fields_of(id_field, more))

    @pytest.mark.parametrize(("method", "id_field", "more"), LISTS)
    def test_a_bad_token_is_named_beside_other_bad_fields(
        self, wire: Wire, method: str, id_field: str, more: dict[str, Any]
    ) -> None:
        with refused(INVALID, "page_size", "paging_state"):
            getattr(wire, method)(page_size=0, paging_state="nope", **fields_of(id_field, more))

    @pytest.mark.parametrize(("method", "id_field", "more"), [each for each in LISTS if each[1]])
    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "nope",
            "00000000000000000000000000000000",
            "{00000000-0000-4000-8000-000000000000}",
            "00000000-0000-4000-8000-00000000000g",
        ],
    )
    def test_a_malformed_id_is_invalid(
        self, wire: Wire, method: str, id_field: str, more: dict[str, Any], bad: str
    ) -> None:
        with refused(INVALID, id_field):
            getattr(wire, method)(page_size=5, **{**more, id_field: u(bad)})

    def test_all_bad_fields_are_named(self, wire: Wire) -> None:
        with refused(INVALID, "video_id", "user_id", "comment_id", "comment"):
            wire.CommentOnVideo(comment=" ")

    @pytest.mark.parametrize(
        ("method", "id_field", "rows"),
        [
            ("GetUserComments", "user_id", "comments"),
            ("GetVideoComments", "video_id", "comments"),
            ("GetUserVideoPreviews", "user_id", "video_previews"),
        ],
    )
    def test_the_list_of_an_unknown_one_is_empty(self, wire: Wire, method: str, id_field: str, rows: str) -> None:
        unknown = new_id().upper()
        answer = getattr(wire, method)(page_size=5, **{id_field: u(unknown)})
        assert not getattr(answer, rows)
        assert getattr(answer, id_field).value == unknown
        assert answer.paging_state == ""

    def test_a_passed_deadline_is_deadline_exceeded(self, wire: Wire) -> None:
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
            # Comparing a password takes longer on any machine: an id can be looked up within the least deadline that gRPC knows.
            wire.VerifyCredentials(email=f"{new_id()}@example.org", password="x", timeout=0.005)


class TestComments:
    def test_a_comment_stands_in_both_lists_with_the_time_of_its_id(self, wire: Wire) -> None:
        video_id, user_id, comment_id = new_id(), new_id(), uuid.uuid1()
        wire.CommentOnVideo(
            video_id=u(video_id), user_id=u(user_id), comment_id=t(comment_id), comment="Привет 🎬\nline"
        )
        (of_video,) = wire.GetVideoComments(video_id=u(video_id), page_size=5).comments
        (of_user,) = wire.GetUserComments(user_id=u(user_id), page_size=5).comments
        assert (of_video.user_id.value, of_user.video_id.value) == (user_id, video_id)
        made_ms = (comment_id.time - 0x01B21DD213814000) // 10_000
        for row in (of_video, of_user):
            assert row.comment == "Привет 🎬\nline"
            assert row.comment_id.value == str(comment_id)
            assert row.comment_timestamp.ToMilliseconds() == made_ms

    def test_the_same_comment_id_again_overwrites(self, wire: Wire) -> None:
        video_id, user_id, comment_id = new_id(), new_id(), uuid.uuid1()
        for text in ("first", "second"):
            wire.CommentOnVideo(video_id=u(video_id), user_id=u(user_id), comment_id=t(comment_id), comment=text)
        assert [row.comment for row in wire.GetVideoComments(video_id=u(video_id), page_size=5).comments] == ["second"]
        assert [row.comment for row in wire.GetUserComments(user_id=u(user_id), page_size=5).comments] == ["second"]

    def test_the_id_of_somebody_elses_comment_is_taken(self, wire: Wire) -> None:
        video_id, user_id, comment_id = new_id(), new_id(), uuid.uuid1()
        wire.CommentOnVideo(video_id=u(video_id), user_id=u(user_id), comment_id=t(comment_id), comment="mine")
        with refused(grpc.StatusCode.ALREADY_EXISTS):
            wire.CommentOnVideo(video_id=u(video_id), user_id=u(new_id()), comment_id=t(comment_id), comment="theirs")
        [of_video] = wire.GetVideoComments(video_id=u(video_id), page_size=5).comments
        [of_user] = wire.GetUserComments(user_id=u(user_id), page_size=5).comments
        assert (of_video.user_id.value, of_video.comment, of_user.comment) == (user_id, "mine", "mine")

    @pytest.mark.parametrize("text", ["", "  \n\t", "x" * 5001])
    def test_a_blank_or_too_long_comment_is_invalid(self, wire: Wire, text: str) -> None:
        with refused(INVALID, "comment"):
            wire.CommentOnVideo(video_id=u(new_id()), user_id=u(new_id()), comment_id=t(uuid.uuid1()), comment=text)

    def test_a_comment_of_5000_characters_is_taken(self, wire: Wire) -> None:
        video_id = new_id()
        wire.CommentOnVideo(video_id=u(video_id), user_id=u(new_id()), comment_id=t(uuid.uuid1()), comment="🎬" * 5000)
        assert wire.GetVideoComments(video_id=u(video_id), page_size=1).comments[0].comment == "🎬" * 5000

    def test_a_comment_id_must_be_version_1(self, wire: Wire) -> None:
        with refused(INVALID, "comment_id"):
            wire.CommentOnVideo(video_id=u(new_id()), user_id=u(new_id()), comment_id=t(uuid.uuid4()), comment="x")
        with refused(INVALID, "starting_comment_id"):
            wire.GetVideoComments(video_id=u(new_id()), page_size=5, starting_comment_id=t(uuid.uuid4()))

    def test_pages_hold_every_comment_once_newest_first_also_with_equal_times(self, wire: Wire) -> None:
        video_id, user_id, moment = new_id(), new_id(), uuid.uuid1()
        # Seven ids of one 100-nanosecond tick, which differ in their last bytes alone, and five of other times.
        same = [uuid.UUID(fields=(*moment.fields[:3], 0x80 + n, n * 37 % 256, n * 7919)) for n in range(7)]
        ids = same + [uuid.uuid1() for _ in range(5)]
        for each in ids:
            wire.CommentOnVideo(video_id=u(video_id), user_id=u(user_id), comment_id=t(each), comment="x")
        for size in (1, 2, 5, 12, 1000):
            for method, fields in (
                (wire.GetVideoComments, {"video_id": u(video_id)}),
                (wire.GetUserComments, {"user_id": u(user_id)}),
            ):
                rows = all_pages(method, "comments", size, **fields)
                assert sorted(row.comment_id.value for row in rows) == sorted(map(str, ids))
                times = [row.comment_timestamp.ToNanoseconds() for row in rows]
                assert times == sorted(times, reverse=True)

    def test_a_full_page_that_is_the_last_has_no_token(self, wire: Wire) -> None:
        video_id = new_id()
        for _ in range(4):
            wire.CommentOnVideo(video_id=u(video_id), user_id=u(new_id()), comment_id=t(uuid.uuid1()), comment="x")
        assert wire.GetVideoComments(video_id=u(video_id), page_size=4).paging_state == ""
        assert len(all_pages(wire.GetVideoComments, "comments", 2, video_id=u(video_id))) == 4

    def test_a_starting_point_is_inclusive_and_joins_a_token_and_the_later_counts(self, wire: Wire) -> None:
        video_id = new_id()
        ids = [str(uuid.uuid1()) for _ in range(6)]
        for each in ids:
            wire.CommentOnVideo(video_id=u(video_id), user_id=u(new_id()), comment_id=t(each), comment="x")
        newest_first = ids[::-1]

        def listed(**fields: Any) -> list[str]:
            return [
                row.comment_id.value
                for row in wire.GetVideoComments(video_id=u(video_id), page_size=10, **fields).comments
            ]

        assert listed(starting_comment_id=t(newest_first[2])) == newest_first[2:]
        token = wire.GetVideoComments(video_id=u(video_id), page_size=2).paging_state
        assert listed(paging_state=token) == newest_first[2:]
        assert listed(paging_state=token, starting_comment_id=t(newest_first[0])) == newest_first[2:]
        assert listed(paging_state=token, starting_comment_id=t(newest_first[1])) == newest_first[2:]
        assert listed(paging_state=token, starting_comment_id=t(newest_first[4])) == newest_first[4:]
        # The token knows its list in another spelling too, and no other list or call.
        assert len(wire.GetVideoComments(video_id=u(video_id.upper()), page_size=10, paging_state=token).comments) == 4
        with refused(INVALID, "paging_state"):
            wire.GetVideoComments(video_id=u(new_id()), page_size=2, paging_state=token)
        with refused(INVALID, "paging_state"):
            wire.GetUserComments(user_id=u(video_id), page_size=2, paging_state=token)
        for broken in (token[:-1], token[1:], token.swapcase(), token + "A", token + "=", " " + token):
            with refused(INVALID, "paging_state"):
                wire.GetVideoComments(video_id=u(video_id), page_size=2, paging_state=broken)


class TestRatings:
    def test_rating_again_replaces(self, wire: Wire) -> None:
        video_id, one, other = new_id(), new_id(), new_id()
        for user_id, rating in ((one, 1), (other, 5), (one, 4)):
            wire.RateVideo(video_id=u(video_id), user_id=u(user_id), rating=rating)
        totals = wire.GetRating(video_id=u(video_id.upper()))
        assert (totals.video_id.value, totals.ratings_count, totals.ratings_total) == (video_id.upper(), 2, 9)
        own = wire.GetUserRating(video_id=u(video_id), user_id=u(one.upper()))
        assert (own.user_id.value, own.rating) == (one.upper(), 4)

    def test_there_is_0_where_nothing_was_rated(self, wire: Wire) -> None:
        video_id = new_id()
        totals = wire.GetRating(video_id=u(video_id))
        assert (totals.video_id.value, totals.ratings_count, totals.ratings_total) == (video_id, 0, 0)
        assert wire.GetUserRating(video_id=u(video_id), user_id=u(new_id())).rating == 0

    @pytest.mark.parametrize("rating", [0, 6, -1])
    def test_a_rating_is_1_to_5(self, wire: Wire, rating: int) -> None:
        with refused(INVALID, "rating"):
            wire.RateVideo(video_id=u(new_id()), user_id=u(new_id()), rating=rating)

    def test_64_users_at_once_and_one_user_from_many_places_count_exactly(self, wire: Wire) -> None:
        video_id, busy = new_id(), new_id()
        jobs = [(new_id(), 1 + n % 5) for n in range(64)] + [(busy, 1 + n % 5) for n in range(32)]
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda job: wire.RateVideo(video_id=u(video_id), user_id=u(job[0]), rating=job[1]), jobs))
        last = wire.GetUserRating(video_id=u(video_id), user_id=u(busy)).rating
        totals = wire.GetRating(video_id=u(video_id))
        assert totals.ratings_count == 65
        assert totals.ratings_total == sum(rating for user_id, rating in jobs if user_id != busy) + last


class TestStatistics:
    def test_plays_are_counted_and_listed_in_request_order_with_0_for_the_unknown(self, wire: Wire) -> None:
        played, unknown = new_id(), new_id()
        for _ in range(3):
            wire.RecordPlaybackStarted(video_id=u(played))
        asked = [unknown, played.upper(), played, unknown]
        stats = wire.GetNumberOfPlays(video_ids=[u(each) for each in asked]).stats
        assert [(row.video_id.value, row.views) for row in stats] == list(zip(asked, [0, 3, 3, 0], strict=True))

    @pytest.mark.parametrize("count", [0, 201])
    @pytest.mark.parametrize(
        ("method", "field"),
        [("GetNumberOfPlays", "video_ids"), ("GetUserProfile", "user_ids"), ("GetVideoPreviews", "video_ids")],
    )
    def test_1_to_200_ids_are_taken_at_once(self, wire: Wire, method: str, field: str, count: int) -> None:
        with refused(INVALID, field):
            getattr(wire, method)(**{field: [u(new_id()) for _ in range(count)]})
        getattr(wire, method)(**{field: [u(new_id()) for _ in range(200)]})


class TestUsers:
    def test_a_user_signs_in_whatever_the_case_of_the_address(self, wire: Wire) -> None:
        user_id = new_id()
        wire.CreateUser(
            user_id=u(user_id),
            first_name="Ada",
            last_name="L",
            email=f"Ada.{user_id}@Example.org",
            password=" pass wörd ",
        )
        assert (
            wire.VerifyCredentials(email=f"ADA.{user_id}@example.ORG", password=" pass wörd ").user_id.value == user_id
        )
        (profile,) = wire.GetUserProfile(user_ids=[u(user_id)]).profiles
        assert (profile.first_name, profile.last_name, profile.email.lower()) == (
            "Ada",
            "L",
            f"ada.{user_id}@example.org",
        )

    def test_wrong_password_and_unknown_address_are_told_apart_by_nobody(self, wire: Wire) -> None:
        user_id = create_user(wire)
        messages = []
        for email in (f"{user_id}@example.org", f"{new_id()}@example.org", "no address"):
            with refused(grpc.StatusCode.UNAUTHENTICATED) as seen:
                wire.VerifyCredentials(email=email, password="wrong")
            messages.append(seen["message"])
        assert set(messages) == {"Email address or password are not correct."}

    @pytest.mark.parametrize(("fields", "bad"), [({"email": " "}, "email"), ({"password": ""}, "password")])
    def test_a_blank_field_of_a_sign_in_is_invalid(self, wire: Wire, fields: dict[str, str], bad: str) -> None:
        with refused(INVALID, bad):
            wire.VerifyCredentials(**{"email": "a@example.org", "password": "x", **fields})

    @pytest.mark.parametrize(
        "fields", [{"email": "nope"}, {"email": ""}, {"password": ""}, {"password": "x" * 257}, {"user_id": u("nope")}]
    )
    def test_bad_input_of_a_new_user_is_invalid(self, wire: Wire, fields: dict[str, Any]) -> None:
        good = {
            "user_id": u(new_id()),
            "first_name": "A",
            "last_name": "B",
            "email": f"{new_id()}@example.org",
            "password": "x",
        }
        with refused(INVALID, *fields):
            wire.CreateUser(**{**good, **fields})

    def test_an_address_and_a_user_id_are_taken_once(self, wire: Wire) -> None:
        first, second, address = new_id(), new_id(), f"{new_id()}@example.org"

        def create(user_id: str, email: str) -> None:
            wire.CreateUser(user_id=u(user_id), first_name="A", last_name="B", email=email, password="secret")

        create(first, address)
        for user_id, email in ((first, address), (second, address), (second, address.upper())):
            with refused(grpc.StatusCode.ALREADY_EXISTS) as seen:
                create(user_id, email)
            assert f"Exception creating user because it already exists for {email}" in seen["message"]
        free = f"{new_id()}@example.org"
        with refused(grpc.StatusCode.ALREADY_EXISTS):
            create(first, free)
        create(second, free)  # the refused call left it free

    def test_the_very_same_call_16_times_at_once_is_one_ok(self, wire: Wire) -> None:
        user_id, address = new_id(), f"{new_id()}@example.org"

        def create(_: int) -> str:
            try:
                wire.CreateUser(user_id=u(user_id), first_name="A", last_name="B", email=address, password="secret")
                return "OK"
            except grpc.RpcError as error:
                return str(error.code().name)

        with ThreadPoolExecutor(16) as pool:
            outcomes = list(pool.map(create, range(16)))
        assert sorted(outcomes) == ["ALREADY_EXISTS"] * 15 + ["OK"]
        assert wire.VerifyCredentials(email=address, password="secret").user_id.value == user_id

    def test_profiles_come_in_request_order_without_the_unknown(self, wire: Wire) -> None:
        one, other = create_user(wire, first="One"), create_user(wire, first="Other")
        asked = [other, new_id(), one.upper(), other]
        profiles = wire.GetUserProfile(user_ids=[u(each) for each in asked]).profiles
        assert [(row.user_id.value, row.first_name) for row in profiles] == [
            (other, "Other"),
            (one.upper(), "One"),
            (other, "Other"),
        ]


class TestVideos:
    def test_a_youtube_video_is_kept_as_submitted(self, wire: Wire) -> None:
        video_id, user_id = new_id().upper(), new_id()
        wire.SubmitYouTubeVideo(
            video_id=u(video_id),
            user_id=u(user_id),
            name="Ünïcode 🎬",
            description="a\nb",
            tags=[" x ", "y", "x", "", "  "],
            you_tube_video_id="https://youtu.be/abc",
        )
        video = wire.GetVideo(video_id=u(video_id))
        assert (video.video_id.value, video.user_id.value, video.name, video.description) == (
            video_id,
            user_id,
            "Ünïcode 🎬",
            "a\nb",
        )
        assert (video.location, video.location_type, sorted(video.tags)) == ("https://youtu.be/abc", 0, ["x", "y"])
        assert abs(video.added_date.ToMilliseconds() - datetime.now(UTC).timestamp() * 1000) < 60_000
        (preview,) = wire.GetVideoPreviews(video_ids=[u(video_id)]).video_previews
        assert preview.preview_image_location == "//img.youtube.com/vi/https://youtu.be/abc/hqdefault.jpg"
        for answer in (
            wire.GetUserVideoPreviews(user_id=u(user_id), page_size=5),
            wire.GetLatestVideoPreviews(page_size=1),
        ):
            (listed,) = answer.video_previews
            assert listed.video_id.value == video_id.lower()
            assert listed.added_date == video.added_date
            assert (listed.name, listed.user_id.value) == ("Ünïcode 🎬", user_id)

    def test_an_uploaded_video_has_its_address_as_location(self, wire: Wire) -> None:
        video_id = new_id()
        wire.SubmitUploadedVideo(
            video_id=u(video_id), user_id=u(new_id()), name="n", upload_url="https://example.org/v.mp4"
        )
        video = wire.GetVideo(video_id=u(video_id))
        assert (video.location, video.location_type) == ("https://example.org/v.mp4", 1)
        for url in ("", "ftp://example.org/v", "javascript:alert(1)", "example.org/v.mp4"):
            with refused(INVALID, "upload_url"):
                wire.SubmitUploadedVideo(video_id=u(new_id()), user_id=u(new_id()), name="n", upload_url=url)

    @pytest.mark.parametrize(
        ("fields", "bad"),
        [
            ({"name": " "}, "name"),
            ({"name": "x" * 1001}, "name"),
            ({"you_tube_video_id": ""}, "you_tube_video_id"),
            ({"you_tube_video_id": "x" * 1001}, "you_tube_video_id"),
            ({"description": "x" * 20_001}, "description"),
            ({"tags": [f"t{n}" for n in range(101)]}, "tags"),
            ({"tags": ["x" * 201]}, "tags"),
            ({"video_id": u("nope")}, "video_id"),
            ({"user_id": u("")}, "user_id"),
        ],
    )
    def test_bad_input_of_a_video_is_invalid(self, wire: Wire, fields: dict[str, Any], bad: str) -> None:
        good = {"video_id": u(new_id()), "user_id": u(new_id()), "name": "n", "you_tube_video_id": "x"}
        with refused(INVALID, bad):
            wire.SubmitYouTubeVideo(**{**good, **fields})

    def test_the_largest_video_is_taken_and_found(self, wire: Wire) -> None:
        name_word, last_word = new_word(), new_word()
        words = " ".join(f"w{n}{name_word[:6]}" for n in range(1200))[: 20_000 - 20] + " " + last_word
        tags = tuple(f"{n:03d} {'tag' * 65}"[:200] for n in range(100))
        video_id = submit(wire, f"{name_word} {'名' * 900}", description=words, tags=tags)
        assert len(wire.GetVideo(video_id=u(video_id)).description) == len(words)

        def found(word: str) -> list[str]:
            return [row.video_id.value for row in wire.SearchVideos(query=word, page_size=5).videos]

        assert found(name_word) == found(f"w100{name_word[:6]}") == [video_id]
        eventually(lambda: found(last_word) == [video_id], 10, "the end of a long description is found")

    def test_resubmitting_takes_the_new_data_and_keeps_date_and_place(self, wire: Wire) -> None:
        user_id, old, new = new_id(), new_word(), new_word()
        video_id = submit(wire, old, user_id=user_id, tags=(f"{old}tag",))
        newer = submit(wire, "newer", user_id=user_id)
        before = wire.GetVideo(video_id=u(video_id))
        submit(wire, new, user_id=user_id, video_id=video_id, tags=(f"{new}tag",), description="now")
        after = wire.GetVideo(video_id=u(video_id))
        assert (after.name, after.description, list(after.tags), after.added_date) == (
            new,
            "now",
            [f"{new}tag"],
            before.added_date,
        )
        listed = wire.GetUserVideoPreviews(user_id=u(user_id), page_size=10).video_previews
        assert [(row.video_id.value, row.name) for row in listed] == [(newer, "newer"), (video_id, new)]
        latest = [
            row.name
            for row in wire.GetLatestVideoPreviews(page_size=1000).video_previews
            if row.video_id.value == video_id
        ]
        assert latest == [new]
        assert not wire.SearchVideos(query=old, page_size=5).videos
        assert [row.video_id.value for row in wire.SearchVideos(query=new, page_size=5).videos] == [video_id]
        assert not wire.GetQuerySuggestions(query=old, page_size=5).suggestions

    def test_another_users_video_id_is_refused_and_nothing_changes(self, wire: Wire) -> None:
        name = new_word()
        video_id = submit(wire, name)
        with refused(grpc.StatusCode.ALREADY_EXISTS):
            submit(wire, "other", video_id=video_id)
        assert wire.GetVideo(video_id=u(video_id)).name == name

    def test_16_submissions_at_once_are_one_entry(self, wire: Wire) -> None:
        user_id, video_id = new_id(), new_id()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: submit(wire, f"n{n}", user_id=user_id, video_id=video_id), range(16)))
        (listed,) = wire.GetUserVideoPreviews(user_id=u(user_id), page_size=100).video_previews
        video = wire.GetVideo(video_id=u(video_id))
        latest = [
            row for row in wire.GetLatestVideoPreviews(page_size=1000).video_previews if row.video_id.value == video_id
        ]
        assert [row.added_date for row in latest] == [video.added_date] == [listed.added_date]

    def test_an_unknown_video_is_not_found(self, wire: Wire) -> None:
        unknown = new_id().upper()
        with refused(grpc.StatusCode.NOT_FOUND) as seen:
            wire.GetVideo(video_id=u(unknown))
        assert seen["message"] == f"Video with id {unknown} was not found"

    def test_previews_come_in_request_order_without_the_unknown(self, wire: Wire) -> None:
        one, other = submit(wire, "one"), submit(wire, "other")
        asked = [other, new_id(), one.upper(), other]
        previews = wire.GetVideoPreviews(video_ids=[u(each) for each in asked]).video_previews
        assert [(row.video_id.value, row.name) for row in previews] == [
            (other, "other"),
            (one.upper(), "one"),
            (other, "other"),
        ]

    def test_lists_of_videos_page_newest_first_and_added_date_rises(self, wire: Wire) -> None:
        user_id = new_id()
        ids = [submit(wire, f"v{n}", user_id=user_id) for n in range(7)]
        for size in (1, 3, 7, 100):
            rows = all_pages(wire.GetUserVideoPreviews, "video_previews", size, user_id=u(user_id))
            assert [row.video_id.value for row in rows] == ids[::-1]
        dates = [row.added_date.ToMilliseconds() for row in rows]
        assert len(set(dates)) == 7
        latest = [row.video_id.value for row in all_pages(wire.GetLatestVideoPreviews, "video_previews", 3)]
        assert [each for each in latest if each in ids] == ids[::-1]
        assert len(latest) == len(set(latest))

    @pytest.mark.parametrize("method", ["GetUserVideoPreviews", "GetLatestVideoPreviews"])
    def test_a_starting_point_of_a_video_list_is_inclusive(self, wire: Wire, method: str) -> None:
        user_id = new_id()
        ids = [submit(wire, f"v{n}", user_id=user_id) for n in range(5)][::-1]
        fields = {"user_id": u(user_id)} if method == "GetUserVideoPreviews" else {}
        call: Callable[..., Any] = getattr(wire, method)
        rows = call(page_size=5, **fields).video_previews
        assert [row.video_id.value for row in rows] == ids

        def listed(**more: Any) -> list[str]:
            return [row.video_id.value for row in call(page_size=5, **fields, **more).video_previews][:5]

        exact = listed(starting_added_date=rows[2].added_date, starting_video_id=u(ids[2].upper()))
        assert exact[:3] == ids[2:]
        in_milliseconds = Timestamp()
        in_milliseconds.FromMilliseconds(rows[2].added_date.ToMilliseconds())
        assert listed(starting_added_date=in_milliseconds)[:3] == ids[2:]
        token = call(page_size=2, **fields).paging_state
        assert (
            listed(paging_state=token, starting_added_date=rows[3].added_date, starting_video_id=u(ids[3]))[:2]
            == ids[3:]
        )
        assert (
            listed(paging_state=token, starting_added_date=rows[0].added_date, starting_video_id=u(ids[0]))[:3]
            == ids[2:]
        )


class TestSearch:
    def test_a_video_is_found_by_name_tags_and_description_at_once(self, wire: Wire) -> None:
        name, tag, described = new_word(), new_word(), new_word()
        video_id = submit(wire, f"The {name} story", tags=(f"{tag} Whole", "other"), description=f"about {described}.")
        for query in (name, name.upper(), tag, f"{tag} whole", described, f"  {described}!"):
            answer = wire.SearchVideos(query=query, page_size=5)
            assert [row.video_id.value for row in answer.videos] == [video_id], query
            assert answer.query == query
        (row,) = wire.SearchVideos(query=name, page_size=5).videos
        preview = wire.GetVideoPreviews(video_ids=[u(video_id)]).video_previews[0]
        assert (row.name, row.added_date, row.user_id, row.preview_image_location) == (
            preview.name,
            preview.added_date,
            preview.user_id,
            preview.preview_image_location,
        )

    def test_accents_case_and_english_endings_are_ignored(self, wire: Wire) -> None:
        word = new_word()
        video_id = submit(wire, f"Café {word} running stories")
        for query in (f"cafe {word}", f"CAFÉ {word}", f"{word} story", f"{word} run"):
            assert [row.video_id.value for row in wire.SearchVideos(query=query, page_size=5).videos][:1] == [
                video_id
            ], query

    def test_name_weighs_more_than_tag_and_tag_more_than_description(self, wire: Wire) -> None:
        word = new_word()
        described = submit(wire, "some title", description=word)
        tagged = submit(wire, "some title", tags=(word,))
        named = submit(wire, f"some {word}")
        assert [row.video_id.value for row in wire.SearchVideos(query=word, page_size=5).videos] == [
            named,
            tagged,
            described,
        ]

    def test_all_the_words_come_before_some(self, wire: Wire) -> None:
        one, other = new_word(), new_word()
        some = submit(wire, f"{one} {one}", tags=(one,))
        both = submit(wire, "plain", description=f"{one} and then {other}")
        assert [row.video_id.value for row in wire.SearchVideos(query=f"{one} {other}", page_size=5).videos] == [
            both,
            some,
        ]

    @pytest.mark.parametrize("query", ["", "   ", "\n\t", "x" * 501])
    def test_a_blank_or_too_long_query_is_invalid(self, wire: Wire, query: str) -> None:
        with refused(INVALID, "query"):
            wire.SearchVideos(query=query, page_size=5)

    @pytest.mark.parametrize(
        "query", ["'; DROP TABLE videos; --", "name:*", '"unbalanced', "a OR 1=1", "%00\x00", "🎬", "...", "the of and"]
    )
    def test_a_query_never_breaks_out(self, wire: Wire, query: str) -> None:
        assert wire.SearchVideos(query=query, page_size=5).query == query

    def test_results_page_exactly_once(self, wire: Wire) -> None:
        word = new_word()
        ids = [submit(wire, f"{word} {'again ' * (n % 3)}", tags=(word,) if n % 2 else ()) for n in range(11)]
        for size in (1, 4, 11, 50):
            rows = [row.video_id.value for row in all_pages(wire.SearchVideos, "videos", size, query=word)]
            assert sorted(rows) == sorted(ids), size
        token = wire.SearchVideos(query=word, page_size=3).paging_state
        with refused(INVALID, "paging_state"):
            wire.SearchVideos(query="other", page_size=3, paging_state=token)

    def test_words_are_parted_by_what_is_no_letter_mark_or_digit(self, wire: Wire) -> None:
        word = new_word()
        video_id = submit(wire, f"2017-{word}-station.mp4")
        for query in (word, f"{word} 2017", f"mp4 {word}"):
            assert wire.SearchVideos(query=query, page_size=5).videos[0].video_id.value == video_id

    def test_suggestions_are_words_and_whole_tags_that_begin_so_sorted(self, wire: Wire) -> None:
        prefix = new_word()
        submit(wire, f"{prefix}ZZ the rest", tags=(f"{prefix}bb two", f"other {prefix}cc"), description=f"{prefix}dd")
        found = wire.GetQuerySuggestions(query=f" {prefix.upper()} ", page_size=10)
        assert found.query == f" {prefix.upper()} "
        assert list(found.suggestions) == [f"{prefix}bb", f"{prefix}bb two", f"{prefix}cc", f"{prefix}zz"]
        assert list(wire.GetQuerySuggestions(query=prefix, page_size=2).suggestions) == [
            f"{prefix}bb",
            f"{prefix}bb two",
        ]
        assert not wire.GetQuerySuggestions(query="  ", page_size=5).suggestions
        with refused(INVALID, "page_size"):
            wire.GetQuerySuggestions(query=prefix, page_size=0)

    def test_stop_words_are_never_suggested(self, wire: Wire) -> None:
        submit(wire, "then there were these", tags=("the",))
        assert not {"the", "then", "there", "these"} & set(
            wire.GetQuerySuggestions(query="the", page_size=1000).suggestions
        )


class TestSuggestions:
    def test_related_videos_share_tags_or_words_and_never_the_video_itself(self, wire: Wire) -> None:
        tag = new_word()
        video_id = submit(wire, "first of them", tags=(tag,))
        close = submit(wire, "second of them", tags=(tag,))
        far = submit(wire, "unlike", tags=("elsewhere",))
        answer = wire.GetRelatedVideos(video_id=u(video_id.upper()), page_size=50)
        found = [row.video_id.value for row in answer.videos]
        assert answer.video_id.value == video_id.upper()
        assert found[0] == close
        assert video_id not in found
        assert len(found) == len(set(found))
        assert far not in found[:1]

    def test_related_of_an_unknown_video_is_empty(self, wire: Wire) -> None:
        assert not wire.GetRelatedVideos(video_id=u(new_id()), page_size=5).videos

    def test_related_pages_exactly_once(self, wire: Wire) -> None:
        tag = new_word()
        ids = [submit(wire, f"{tag} number {n}", tags=(tag,)) for n in range(9)]
        for size in (2, 5, 20):
            rows = [row.video_id.value for row in all_pages(wire.GetRelatedVideos, "videos", size, video_id=u(ids[0]))]
            assert len(rows) == len(set(rows))
            assert set(ids[1:]) <= set(rows)

    def test_suggestions_leave_out_what_the_user_rated_or_submitted(self, wire: Wire) -> None:
        tag, user_id = new_word(), new_id()
        own = submit(wire, f"{tag} own", tags=(tag,), user_id=user_id)
        rated = [submit(wire, f"{tag} rated {n}", tags=(tag,)) for n in range(3)]
        others = [submit(wire, f"{tag} other {n}", tags=(tag,)) for n in range(4)]
        for each in rated:
            wire.RateVideo(video_id=u(each), user_id=u(user_id), rating=5)
        found = eventually(
            lambda: [
                row.video_id.value for row in all_pages(wire.GetSuggestedForUser, "videos", 20, user_id=u(user_id))
            ],
            10,
            "something of the user's taste",
        )
        assert not {own, *rated} & set(found)
        assert len(found) == len(set(found))
        assert set(found[:2]) <= set(others), "three ratings already tell a taste"

    def test_an_unknown_user_gets_what_is_popular(self, wire: Wire) -> None:
        loved = submit(wire, "loved by many")
        for _ in range(12):
            wire.RateVideo(video_id=u(loved), user_id=u(new_id()), rating=5)
        eventually(
            lambda: (
                loved
                in [row.video_id.value for row in wire.GetSuggestedForUser(user_id=u(new_id()), page_size=20).videos]
            ),
            10,
            "a video that many rated well among the popular ones",
        )
