"""Where comments are kept. Each is written twice, because Cassandra answers one question per table."""

from random import randint
from typing import NamedTuple
from uuid import UUID

from common.database import Database, IdText, Select, Write


class UserCommentRow(NamedTuple):
    """A comment as the list of its author shows it."""

    comment_id: UUID
    video_id: IdText
    comment: str


class VideoCommentRow(NamedTuple):
    """A comment as the list of its video shows it."""

    comment_id: UUID
    user_id: IdText
    comment: str


class StandingRow(NamedTuple):
    """Who wrote a comment, and when, in microseconds since 1970."""

    user_id: UUID
    written: int | None


STANDING = Select(
    "SELECT userid, WRITETIME(comment) FROM comments_by_video WHERE videoid = ? AND commentid = ?", StandingRow
)
INSERT_BY_VIDEO = Write("INSERT INTO comments_by_video (videoid, commentid, userid, comment) VALUES (?, ?, ?, ?)")
INSERT_BY_USER = Write("INSERT INTO comments_by_user (userid, commentid, videoid, comment) VALUES (?, ?, ?, ?)")
OF_USER = Select("SELECT commentid, videoid, comment FROM comments_by_user WHERE userid = ? LIMIT ?", UserCommentRow)
OF_USER_FROM = Select(
    "SELECT commentid, videoid, comment FROM comments_by_user WHERE userid = ? AND commentid <= ? LIMIT ?",
    UserCommentRow,
)
OF_USER_BEFORE = Select(
    "SELECT commentid, videoid, comment FROM comments_by_user WHERE userid = ? AND commentid < ? LIMIT ?",
    UserCommentRow,
)
OF_VIDEO = Select("SELECT commentid, userid, comment FROM comments_by_video WHERE videoid = ? LIMIT ?", VideoCommentRow)
OF_VIDEO_FROM = Select(
    "SELECT commentid, userid, comment FROM comments_by_video WHERE videoid = ? AND commentid <= ? LIMIT ?",
    VideoCommentRow,
)
OF_VIDEO_BEFORE = Select(
    "SELECT commentid, userid, comment FROM comments_by_video WHERE videoid = ? AND commentid < ? LIMIT ?",
    VideoCommentRow,
)

STATEMENTS = (
    STANDING,
    INSERT_BY_VIDEO,
    INSERT_BY_USER,
    OF_USER,
    OF_USER_FROM,
    OF_USER_BEFORE,
    OF_VIDEO,
    OF_VIDEO_FROM,
    OF_VIDEO_BEFORE,
)


class CommentsRepository:
    """Writes and lists comments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, video_id: UUID, user_id: UUID, comment_id: UUID, comment: str) -> bool:
        """Write a comment into both lists, or neither. The user's own with the same id is overwritten, whatever the clock said that wrote it.

        False, and nothing is written, when another user's comment on the video has the id: ids are public, so anybody could replace it.
        Of two that send the same new id at the same time neither is seen.
        """
        standing = await self._database.select_one(STANDING, video_id, comment_id)
        if standing and standing.user_id != user_id:
            return False
        # At random, so that two who overwrite it at once do not get the same timestamp: each column would be that of either.
        timestamp_us = standing.written + randint(1, 999) if standing and standing.written else None
        await self._database.batch(
            [
                (INSERT_BY_VIDEO, (video_id, comment_id, user_id, comment)),
                (INSERT_BY_USER, (user_id, comment_id, video_id, comment)),
            ],
            timestamp_us,
        )
        return True

    async def of_user(self, user_id: UUID, limit: int, start: UUID | None, after: UUID | None) -> list[UserCommentRow]:
        """Up to `limit` comments of a user, newest first: from `start` on, or behind `after`, or from the newest."""
        if after:
            return await self._database.select(OF_USER_BEFORE, user_id, after, limit)
        if start:
            return await self._database.select(OF_USER_FROM, user_id, start, limit)
        return await self._database.select(OF_USER, user_id, limit)

    async def of_video(
        self, video_id: UUID, limit: int, start: UUID | None, after: UUID | None
    ) -> list[VideoCommentRow]:
        """Up to `limit` comments on a video, newest first: from `start` on, or behind `after`, or from the newest."""
        if after:
            return await self._database.select(OF_VIDEO_BEFORE, video_id, after, limit)
        if start:
            return await self._database.select(OF_VIDEO_FROM, video_id, start, limit)
        return await self._database.select(OF_VIDEO, video_id, limit)
