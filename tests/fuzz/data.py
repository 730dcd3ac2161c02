"""A few users, videos, comments and ratings, so that requests and tokens can be nearly valid."""

import asyncio
import random
import uuid
from base64 import urlsafe_b64decode
from typing import Any, NamedTuple

import grpc

from common.paging import Parts, _unpack
from protos.common_pb2 import TimeUuid, Uuid
from tests.fuzz.calls import Answer, Caller, Sent, request_of

USERS, VIDEOS, COMMENTS = 4, 40, 40
WORDS = "police station music summer garden cooking travel science history running microservices cassandra".split()
AT_ONCE, ATTEMPTS = 8, 10
PASSWORD = "correct horse"


class ListOf(NamedTuple):
    """A list that has a second page: how it is asked for, its name in tokens, what an honest token of it holds, and all of its rows."""

    call: str
    fields: dict[str, Any]
    list_key: str
    parts: Parts
    rows: frozenset[str]
    """The ids of the rows that a page may show; empty where that depends on what else is in the database."""


class Known(NamedTuple):
    """What is in the database, as texts."""

    user_ids: list[str]
    video_ids: list[str]
    comment_ids: list[str]
    emails: list[str]
    lists: list[ListOf]


async def fill(caller: Caller) -> Known:
    """Write it all by calls, and read the first page of each list."""
    choice = random.Random(1)
    user_ids, video_ids = ([str(uuid.uuid4()) for _ in range(count)] for count in (USERS, VIDEOS))
    comment_ids = [str(uuid.uuid1()) for _ in range(COMMENTS)]
    emails = [f"{user_id}@example.org" for user_id in user_ids]
    await _must(caller, [_user(user_id, email) for user_id, email in zip(user_ids, emails, strict=True)])
    # All by one user: the list of a user's videos has many pages.
    await _must(caller, [_video(video_id, user_ids[0], choice) for video_id in video_ids])
    rated = [(user_id, video_id) for user_id in user_ids[1:] for video_id in video_ids[:8]]
    await _must(caller, [_rating(user_id, video_id, choice.randint(3, 5)) for user_id, video_id in rated])
    await _must(caller, [request_of("RecordPlaybackStarted", video_id=Uuid(value=value)) for value in video_ids[:8]])
    await _must(caller, [_comment(value, user_ids[1], video_ids[0]) for value in comment_ids])
    lists = [
        await _list(caller, call, fields, list_key, rows)
        for call, fields, list_key, rows in (
            ("GetUserComments", {"user_id": Uuid(value=user_ids[1])}, user_ids[1], frozenset(comment_ids)),
            ("GetVideoComments", {"video_id": Uuid(value=video_ids[0])}, video_ids[0], frozenset(comment_ids)),
            ("GetUserVideoPreviews", {"user_id": Uuid(value=user_ids[0])}, user_ids[0], frozenset(video_ids)),
            ("GetLatestVideoPreviews", {}, "", frozenset()),
            ("SearchVideos", {"query": WORDS[0]}, WORDS[0], frozenset()),
            ("SearchVideos", {"query": "polise statoin musc"}, "polise statoin musc", frozenset()),
            ("GetRelatedVideos", {"video_id": Uuid(value=video_ids[0])}, video_ids[0], frozenset()),
            ("GetSuggestedForUser", {"user_id": Uuid(value=user_ids[1])}, user_ids[1], frozenset()),
        )
    ]
    return Known(user_ids, video_ids, comment_ids, emails, lists)


async def _list(caller: Caller, call: str, fields: dict[str, Any], list_key: str, rows: frozenset[str]) -> ListOf:
    [answer] = await _must(caller, [request_of(call, page_size=1, **fields)])
    assert answer.message.paging_state, f"{call} has one page only"
    return ListOf(call, fields, list_key, _unpack(urlsafe_b64decode(answer.message.paging_state)[16:]), rows)


async def _must(caller: Caller, batch: list[Sent]) -> list[Answer]:
    """Make calls, some at a time: on a busy machine Cassandra is late, and is asked again."""
    answers = []
    for start in range(0, len(batch), AT_ONCE):
        answers += await asyncio.gather(*(_insist(caller, sent) for sent in batch[start : start + AT_ONCE]))
    return answers


async def _insist(caller: Caller, sent: Sent) -> Answer:
    for _ in range(ATTEMPTS):
        answer = await caller.send(sent)
        if answer.status in (grpc.StatusCode.OK, grpc.StatusCode.ALREADY_EXISTS):
            return answer
    raise AssertionError(f"{sent.call}: {answer.status}: {answer.details}")


def _user(user_id: str, email: str) -> Sent:
    return request_of(
        "CreateUser",
        user_id=Uuid(value=user_id),
        first_name="Ada",
        last_name="Lovelace",
        email=email,
        password=PASSWORD,
    )


def _video(video_id: str, user_id: str, choice: random.Random) -> Sent:
    return request_of(
        "SubmitYouTubeVideo",
        video_id=Uuid(value=video_id),
        user_id=Uuid(value=user_id),
        name=" ".join(choice.sample(WORDS[3:], 3) + WORDS[:3]),
        description=" ".join(choice.choices(WORDS, k=60)),
        tags=choice.sample(WORDS, 4),
        you_tube_video_id="dQw4w9WgXcQ",
    )


def _rating(user_id: str, video_id: str, rating: int) -> Sent:
    return request_of("RateVideo", user_id=Uuid(value=user_id), video_id=Uuid(value=video_id), rating=rating)


def _comment(comment_id: str, user_id: str, video_id: str) -> Sent:
    return request_of(
        "CommentOnVideo",
        comment_id=TimeUuid(value=comment_id),
        user_id=Uuid(value=user_id),
        video_id=Uuid(value=video_id),
        comment="Hm",
    )
