"""Comments on the real Cassandra."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID, uuid1, uuid4

import pytest

from common.database import Database, Statement
from common.ids import cassandra_time_uuid_order
from services.comments.repository import INSERT_BY_USER, INSERT_BY_VIDEO, STATEMENTS, CommentsRepository


@pytest.fixture
async def comments(open_database: Callable[[Iterable[Statement]], Awaitable[Database]]) -> CommentsRepository:
    return CommentsRepository(await open_database(STATEMENTS))


def same_moment(timestamp: UUID, *clocks: int) -> list[UUID]:
    """Version-1 UUIDs of one moment that differ in the bytes behind it."""
    return [UUID(fields=(*timestamp.fields[:3], 0x80 | clock >> 8, clock & 0xFF, clock)) for clock in clocks]


async def test_a_comment_is_found_by_its_video_and_by_its_user(comments: CommentsRepository) -> None:
    video, user, comment_id = uuid4(), uuid4(), uuid1()
    await comments.add(video, user, comment_id, "one\ntwo 🥧")
    assert await comments.of_video(video, 10, None, None) == [(comment_id, str(user), "one\ntwo 🥧")]
    assert await comments.of_user(user, 10, None, None) == [(comment_id, str(video), "one\ntwo 🥧")]


async def test_a_comment_of_another_user_is_not_overwritten(comments: CommentsRepository) -> None:
    video, user, comment_id = uuid4(), uuid4(), uuid1()
    assert await comments.add(video, user, comment_id, "mine")
    assert not await comments.add(video, uuid4(), comment_id, "theirs")
    assert [row.comment for row in await comments.of_video(video, 10, None, None)] == ["mine"]
    assert [row.comment for row in await comments.of_user(user, 10, None, None)] == ["mine"]


async def test_the_same_id_again_overwrites(comments: CommentsRepository) -> None:
    video, user, comment_id = uuid4(), uuid4(), uuid1()
    for text in ("first", "second"):
        await comments.add(video, user, comment_id, text)
    assert await comments.of_video(video, 10, None, None) == [(comment_id, str(user), "second")]
    assert await comments.of_user(user, 10, None, None) == [(comment_id, str(video), "second")]


async def test_one_that_an_instance_wrote_whose_clock_is_ahead_is_overwritten(
    open_database: Callable[[Iterable[Statement]], Awaitable[Database]],
) -> None:
    database = await open_database(STATEMENTS)
    comments, (video, user, comment_id) = CommentsRepository(database), (uuid4(), uuid4(), uuid1())
    hour_ahead = int((time.time() + 3600) * 1_000_000)
    await database.batch(
        [
            (INSERT_BY_VIDEO, (video, comment_id, user, "first")),
            (INSERT_BY_USER, (user, comment_id, video, "first")),
        ],
        hour_ahead,
    )
    await comments.add(video, user, comment_id, "second")
    assert await comments.of_video(video, 10, None, None) == [(comment_id, str(user), "second")]
    assert await comments.of_user(user, 10, None, None) == [(comment_id, str(video), "second")]


async def test_lists_are_newest_first_in_the_order_we_reckon_with_also_within_a_moment(
    comments: CommentsRepository,
) -> None:
    video, user, timestamp = uuid4(), uuid4(), uuid1()
    ids = [uuid1(), *same_moment(timestamp, 1, 0x7F, 0x80, 0xFF, 0x17F, 0x180, 0x3FFF), uuid1()]
    await asyncio.gather(*(comments.add(video, user, comment_id, "x") for comment_id in ids))
    newest_first = sorted(ids, key=cassandra_time_uuid_order, reverse=True)
    assert [row.comment_id for row in await comments.of_video(video, 100, None, None)] == newest_first
    assert [row.comment_id for row in await comments.of_user(user, 100, None, None)] == newest_first


async def test_a_list_begins_at_a_comment_or_behind_one(comments: CommentsRepository) -> None:
    video, user, timestamp = uuid4(), uuid4(), uuid1()
    ids = sorted(same_moment(timestamp, 1, 2, 3, 0x80, 0x81), key=cassandra_time_uuid_order, reverse=True)
    for comment_id in ids:
        await comments.add(video, user, comment_id, "x")
    for index, comment_id in enumerate(ids):
        assert [row.comment_id for row in await comments.of_video(video, 9, comment_id, None)] == ids[index:]
        assert [row.comment_id for row in await comments.of_video(video, 9, None, comment_id)] == ids[index + 1 :]
        assert [row.comment_id for row in await comments.of_user(user, 9, comment_id, None)] == ids[index:]
        assert [row.comment_id for row in await comments.of_user(user, 9, None, comment_id)] == ids[index + 1 :]
    assert len(await comments.of_video(video, 2, None, None)) == 2
    assert len(await comments.of_user(user, 2, ids[1], None)) == 2


async def test_an_unknown_list_is_empty(comments: CommentsRepository) -> None:
    assert await comments.of_video(uuid4(), 10, None, None) == []
    assert await comments.of_user(uuid4(), 10, None, None) == []
