"""CommentsService over the wire, on comments kept in a list."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid1, uuid4

import pytest
from grpc import StatusCode, aio

from common.database import IdText
from common.ids import cassandra_time_uuid_order
from protos import comments_pb2 as messages
from protos.comments_pb2_grpc import CommentsServiceStub, add_CommentsServiceServicer_to_server
from protos.common_pb2 import TimeUuid, Uuid
from services.comments.repository import UserCommentRow, VideoCommentRow
from services.comments.servicer import CommentsServicer
from tests.services.serving import bad_fields, serving

if TYPE_CHECKING:
    from protos.comments_pb2_grpc import CommentsServiceAsyncStub


class CommentsInADict:
    """What the repository does, in memory: (video, user) and text by the comment's id."""

    def __init__(self) -> None:
        self.comments: dict[UUID, tuple[UUID, UUID, str]] = {}

    async def add(self, video_id: UUID, user_id: UUID, comment_id: UUID, comment: str) -> bool:
        kept = self.comments.get(comment_id)
        if kept and kept[0] == video_id and kept[1] != user_id:
            return False
        self.comments[comment_id] = (video_id, user_id, comment)
        return True

    async def of_user(self, user_id: UUID, limit: int, start: UUID | None, after: UUID | None) -> list[UserCommentRow]:
        rows = [
            UserCommentRow(key, IdText(str(video)), text)
            for key, (video, user, text) in self._newest_first(start, after)
            if user == user_id
        ]
        return rows[:limit]

    async def of_video(
        self, video_id: UUID, limit: int, start: UUID | None, after: UUID | None
    ) -> list[VideoCommentRow]:
        rows = [
            VideoCommentRow(key, IdText(str(user)), text)
            for key, (video, user, text) in self._newest_first(start, after)
            if video == video_id
        ]
        return rows[:limit]

    def _newest_first(self, start: UUID | None, after: UUID | None) -> Any:
        order = cassandra_time_uuid_order
        for key in sorted(self.comments, key=order, reverse=True):
            if (start is None or order(key) <= order(start)) and (after is None or order(key) < order(after)):
                yield key, self.comments[key]


@pytest.fixture
def kept() -> CommentsInADict:
    return CommentsInADict()


@pytest.fixture
async def stub(kept: CommentsInADict) -> AsyncIterator["CommentsServiceAsyncStub"]:
    servicer = CommentsServicer(kept, "key")  # type: ignore[arg-type]  # a fake
    async with serving(servicer, add_CommentsServiceServicer_to_server) as channel:
        yield CommentsServiceStub(channel)


def comment_on(video: object, user: object, comment_id: object, text: str = "Hm") -> messages.CommentOnVideoRequest:
    return messages.CommentOnVideoRequest(
        video_id=Uuid(value=str(video)),
        user_id=Uuid(value=str(user)),
        comment_id=TimeUuid(value=str(comment_id)),
        comment=text,
    )


def of_video(video: object, size: int = 10, token: str = "", start: object = "") -> messages.GetVideoCommentsRequest:
    return messages.GetVideoCommentsRequest(
        video_id=Uuid(value=str(video)),
        page_size=size,
        paging_state=token,
        starting_comment_id=TimeUuid(value=str(start)),
    )


def of_user(user: object, size: int = 10, token: str = "", start: object = "") -> messages.GetUserCommentsRequest:
    return messages.GetUserCommentsRequest(
        user_id=Uuid(value=str(user)),
        page_size=size,
        paging_state=token,
        starting_comment_id=TimeUuid(value=str(start)),
    )


async def five(stub: "CommentsServiceAsyncStub", video: UUID, user: UUID) -> list[str]:
    """Five comments, and their ids, newest first."""
    ids = [uuid1() for _ in range(5)]
    for comment_id in ids:
        await stub.CommentOnVideo(comment_on(video, user, comment_id, f"about {comment_id}"))
    return [str(comment_id) for comment_id in sorted(ids, key=cassandra_time_uuid_order, reverse=True)]


async def test_a_comment_is_in_both_lists_with_its_time_and_the_ids_as_they_were_asked(
    stub: "CommentsServiceAsyncStub",
) -> None:
    video, user, comment_id = uuid4(), uuid4(), uuid1()
    await stub.CommentOnVideo(comment_on(video, user, comment_id, " two\nlines 🥧 "))
    by_video = await stub.GetVideoComments(of_video(str(video).upper()))
    by_user = await stub.GetUserComments(of_user(str(user).upper()))
    assert by_video.video_id.value == str(video).upper()
    assert by_user.user_id.value == str(user).upper()
    [in_video], [in_user] = by_video.comments, by_user.comments
    assert in_video.user_id.value == str(user)
    assert in_user.video_id.value == str(video)
    milliseconds = (comment_id.time - 0x01B21DD213814000) // 10_000
    for comment in (in_video, in_user):
        assert comment.comment == " two\nlines 🥧 "
        assert comment.comment_id.value == str(comment_id)
        assert comment.comment_timestamp.ToMilliseconds() == milliseconds


async def test_the_same_comment_again_overwrites(stub: "CommentsServiceAsyncStub") -> None:
    video, user, comment_id = uuid4(), uuid4(), uuid1()
    for text in ("first", "second"):
        await stub.CommentOnVideo(comment_on(video, user, comment_id, text))
    answer = await stub.GetVideoComments(of_video(video))
    assert [comment.comment for comment in answer.comments] == ["second"]


async def test_the_id_of_another_comment_is_refused_and_that_comment_stays(
    stub: "CommentsServiceAsyncStub", kept: CommentsInADict
) -> None:
    video, user, comment_id = uuid4(), uuid4(), uuid1()
    await stub.CommentOnVideo(comment_on(video, user, comment_id, "mine"))
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.CommentOnVideo(comment_on(video, uuid4(), comment_id))
    assert raised.value.code() is StatusCode.ALREADY_EXISTS
    assert kept.comments == {comment_id: (video, user, "mine")}


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (messages.CommentOnVideoRequest(), {"video_id", "user_id", "comment_id", "comment"}),
        (comment_on("nope", uuid4(), uuid1()), {"video_id"}),
        (comment_on(uuid4(), uuid4(), uuid4()), {"comment_id"}),
        (comment_on(uuid4(), uuid4(), uuid1(), " \n\t"), {"comment"}),
        (comment_on(uuid4(), uuid4(), uuid1(), "x" * 5001), {"comment"}),
    ],
)
async def test_a_bad_comment_is_refused_by_the_names_of_its_fields_and_nothing_is_written(
    stub: "CommentsServiceAsyncStub", kept: CommentsInADict, request_: messages.CommentOnVideoRequest, fields: set[str]
) -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.CommentOnVideo(request_)
    assert bad_fields(raised.value) == fields
    assert not kept.comments


async def test_a_comment_has_up_to_5000_characters(stub: "CommentsServiceAsyncStub", kept: CommentsInADict) -> None:
    await stub.CommentOnVideo(comment_on(uuid4(), uuid4(), uuid1(), "🥧" * 5000))
    assert len(kept.comments) == 1


async def test_following_the_tokens_gives_every_comment_once_whatever_the_page_size(
    stub: "CommentsServiceAsyncStub",
) -> None:
    video, user = uuid4(), uuid4()
    newest_first = await five(stub, video, user)
    for sizes in ([2, 2, 2], [1, 4], [5], [4, 1], [3, 1000]):
        for page_of in (
            lambda size, token: stub.GetVideoComments(of_video(video, size, token)),
            lambda size, token: stub.GetUserComments(of_user(user, size, token)),
        ):
            found: list[str] = []
            token = ""
            for number, size in enumerate(sizes, 1):
                page = await page_of(size, token)
                found += [comment.comment_id.value for comment in page.comments]
                token = page.paging_state
                assert bool(token) == (number < len(sizes))
            assert found == newest_first


async def test_a_starting_comment_is_the_first_of_the_list_and_may_join_a_token(
    stub: "CommentsServiceAsyncStub",
) -> None:
    video, user = uuid4(), uuid4()
    ids = await five(stub, video, user)

    def of(page: Any) -> list[str]:
        return [comment.comment_id.value for comment in page.comments]

    assert of(await stub.GetVideoComments(of_video(video, start=ids[2]))) == ids[2:]
    assert of(await stub.GetUserComments(of_user(user, start=ids[2].upper()))) == ids[2:]
    second_page = (await stub.GetVideoComments(of_video(video, 2))).paging_state
    assert of(await stub.GetVideoComments(of_video(video, token=second_page, start=ids[0]))) == ids[2:]
    assert of(await stub.GetVideoComments(of_video(video, token=second_page, start=ids[1]))) == ids[2:]
    assert of(await stub.GetVideoComments(of_video(video, token=second_page, start=ids[4]))) == ids[4:]


async def test_a_token_of_another_list_or_another_call_is_refused(stub: "CommentsServiceAsyncStub") -> None:
    video, user = uuid4(), uuid4()
    await five(stub, video, user)
    of_this_video = (await stub.GetVideoComments(of_video(video, 2))).paging_state
    for call in (
        stub.GetVideoComments(of_video(uuid4(), 2, of_this_video)),
        stub.GetUserComments(of_user(video, 2, of_this_video)),
        stub.GetVideoComments(of_video(video, 2, of_this_video[:-4])),
        stub.GetVideoComments(of_video(video, 2, "forged")),
    ):
        with pytest.raises(aio.AioRpcError) as raised:
            await call
        assert bad_fields(raised.value) == {"paging_state"}
    same_list = await stub.GetVideoComments(of_video(str(video).upper(), 2, of_this_video))
    assert len(same_list.comments) == 2


@pytest.mark.parametrize("size", [0, -1, 1001])
async def test_a_page_has_1_to_1000_comments(stub: "CommentsServiceAsyncStub", size: int) -> None:
    for call in (stub.GetVideoComments(of_video(uuid4(), size)), stub.GetUserComments(of_user(uuid4(), size))):
        with pytest.raises(aio.AioRpcError) as raised:
            await call
        assert bad_fields(raised.value) == {"page_size"}


async def test_the_list_of_an_unknown_user_or_video_is_empty(stub: "CommentsServiceAsyncStub") -> None:
    for page in (await stub.GetVideoComments(of_video(uuid4())), await stub.GetUserComments(of_user(uuid4()))):
        assert not page.comments
        assert page.paging_state == ""


async def test_a_starting_comment_must_be_of_version_1(stub: "CommentsServiceAsyncStub") -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.GetVideoComments(of_video(uuid4(), start=uuid4()))
    assert bad_fields(raised.value) == {"starting_comment_id"}
