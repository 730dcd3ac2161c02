"""Comments get their date at loading, and a second load recognizes them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import RFC_4122, UUID

from protos import comments_pb2
from protos.common_pb2 import TimeUuid, Uuid
from tests.sampledata.fakes import ANN, BOB, FIRST_VIDEO, SECOND_VIDEO, FakeServices, counts, small_set


def texts_and_dates(fakes: FakeServices) -> list[tuple[str, datetime]]:
    """Texts and dates of all comments, the oldest first."""
    ids = sorted(map(UUID, fakes.comments.comments), key=lambda comment_id: comment_id.time)
    return [
        (fakes.comments.comments[str(comment_id)].comment, datetime(1582, 10, 15, tzinfo=UTC) + timedelta(microseconds=comment_id.time // 10))
        for comment_id in ids
    ]  # fmt: skip


COMMENTS = (
    "videoid,commentid,comment,userid\n"
    + f"{FIRST_VIDEO},10b836f6-f3a8-11f0-a65d-004b56494445,third,{ANN}\n"
    + f"{SECOND_VIDEO},c4017f94-ee14-11f0-848a-004b56494445,first,{BOB}\n"
    + f"{FIRST_VIDEO},227c9ad4-f1b8-11f0-9188-004b56494445,second,{BOB}\n"
)


async def test_comments_are_dated_at_loading_after_their_videos_and_keep_their_order(
    fakes: FakeServices, tmp_path: Path
) -> None:
    await fakes.load(small_set(tmp_path, comments=COMMENTS))
    assert [text for text, _ in texts_and_dates(fakes)] == ["first", "second", "third"]
    newest = max(fakes.videos.dates.values()).replace(tzinfo=UTC)
    assert all(newest < date < newest + timedelta(seconds=1) for _, date in texts_and_dates(fakes))
    assert all(UUID(key).version == 1 and UUID(key).variant == RFC_4122 for key in fakes.comments.comments)


async def test_a_load_that_was_cut_short_adds_only_what_is_missing_though_the_videos_have_new_dates(
    fakes: FakeServices, tmp_path: Path
) -> None:
    data = small_set(tmp_path, comments=COMMENTS)
    await fakes.load(data)
    before = texts_and_dates(fakes)
    lost = next(key for key, comment in fakes.comments.comments.items() if comment.comment == "second")
    del fakes.comments.comments[lost]
    assert counts(await fakes.load(data))["comments"] == (1, 2, 0)
    assert texts_and_dates(fakes) == before
    for video in fakes.videos.dates:
        fakes.videos.dates[video] += timedelta(days=1)
    assert counts(await fakes.load(data))["comments"] == (0, 3, 0)


async def test_comments_that_were_loaded_with_the_ids_of_the_file_are_there_already(
    fakes: FakeServices, tmp_path: Path
) -> None:
    data = small_set(tmp_path, comments=COMMENTS)
    for comment in data.comments:
        fakes.comments.comments[str(comment.comment_id)] = comments_pb2.CommentOnVideoRequest(
            video_id=Uuid(value=str(comment.video_id)), comment_id=TimeUuid(value=str(comment.comment_id))
        )
    assert counts(await fakes.load(data))["comments"] == (0, 3, 0)


async def test_a_comment_that_stands_in_the_file_twice_is_loaded_once(fakes: FakeServices, tmp_path: Path) -> None:
    await fakes.load(small_set(tmp_path, comments=COMMENTS + COMMENTS.splitlines()[1] + "\n"))
    assert len(fakes.comments.comments) == 3
