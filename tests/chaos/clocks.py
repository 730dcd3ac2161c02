"""Instances whose clocks differ: what the later of two acknowledged writes says is what all read from then on.

Each instance hosts five services. The clock of all but one is shifted by libfaketime (Debian's package `faketime`).
"""

import asyncio
import hashlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cassandra.cluster import Cluster, Session
from grpc import StatusCode, aio

from client.stubs import STUBS, AsyncStubs
from infra.errors import InfraError
from protos import comments_pb2 as comments
from protos import search_pb2 as search
from protos import suggested_videos_pb2 as suggested_videos
from protos import user_management_pb2 as user_management
from protos import video_catalog_pb2 as video_catalog
from protos.common_pb2 import TimeUuid, Uuid
from tests.chaos.world import Measurement, World
from tests.processes import ServiceProcess

SLUGS = ("comments", "search", "suggested_videos", "user_management", "video_catalog")
DRIVERS = ("acsylla", "cassandra-driver")
SHIFTS = ("+0.5", "-0.5", "+1", "-1", "+3600", "-3600")
"""By how many seconds a clock is ahead, or behind."""
ROUNDS = 3
"""How often something is replaced for each shift and direction."""

_CALL_SECONDS, _ATTEMPTS, _PAUSE_SECONDS = 20.0, 5, 2.0
_READ_AGAIN_SECONDS = 0.2
_WORD = "clocktrial"


class _Instance(NamedTuple):
    """An instance, by its stubs, and by how many seconds its clock differs."""

    shift: str
    stubs: AsyncStubs


async def clocks(world: World) -> list[Measurement]:
    """Something is written by an instance with the right clock and replaced by one with another clock, and the other way round."""
    measured = []
    for driver in DRIVERS:
        lost: Counter[str] = Counter()
        replaced = 0
        with _plain_session(world) as cql:
            async with _instances(world, driver) as (right, *others):
                for other in others:
                    for first, second in ((right, other), (other, right)):
                        for _ in range(ROUNDS):
                            await _replace_video(first, second, (right, other), cql, lost)
                            await _replace_comment(first, second, lost)
                            await _replace_hash(first, second, cql, lost)
                            replaced += 1
                        await _replace_list(first, second, lost)
        for what in ("row", "user's list", "latest list", "tags", "words", "comment", "password hash", "suggestions"):
            fault = f"clocks 0.5 s, 1 s and 1 h apart, {driver}: {what}"
            measured.append(Measurement("-", fault, 0, lost[what], "lost", f"{replaced} replaced"))
    return measured


def _library() -> Path:
    """The library that shifts a clock. Raises InfraError when it is not installed."""
    for found in Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"):
        return found
    raise InfraError("libfaketime is missing; `apt-get install faketime` installs it")


@asynccontextmanager
async def _instances(world: World, driver: str) -> AsyncIterator[list[_Instance]]:
    """One instance with the right clock, and one for each shift."""
    library = _library()
    async with AsyncExitStack() as stack:
        started = []
        for shift in ("", *SHIFTS):
            faked = {
                "LD_PRELOAD": str(library),
                "FAKETIME": shift,
                # What is waited for goes on as fast as ever.
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
            environment = {**world.environment, "KILLRVIDEO_CASSANDRA_DRIVER": driver, **(faked if shift else {})}
            process = ServiceProcess(SLUGS, world.folder, environment)
            process.start()
            stack.push_async_callback(asyncio.to_thread, process.stop)
            started.append((shift, process))
        for _, process in started:
            await asyncio.to_thread(process.wait_ready, 180)
        instances = []
        for shift, process in started:
            channel = await stack.enter_async_context(aio.insecure_channel(process.address))
            instances.append(_Instance(shift, _stubs(channel)))
        yield instances


def _stubs(channel: aio.Channel) -> AsyncStubs:
    return AsyncStubs(STUBS, lambda _: channel)


@contextmanager
def _plain_session(world: World) -> Iterator[Session]:
    """A session for what no call shows."""
    with Cluster([world.cassandra.host], port=world.cassandra.port) as cluster:
        yield cluster.connect("killrvideo")


async def _submit(on: _Instance, video_id: str, user_id: str, name: str) -> None:
    request = video_catalog.SubmitYouTubeVideoRequest(
        video_id=Uuid(value=video_id),
        user_id=Uuid(value=user_id),
        name=f"{name} {_WORD}",
        tags=[f"{name}tag"],
        description=f"about {name}text",
        you_tube_video_id="x",
    )
    await _answer(on.stubs.video_catalog.SubmitYouTubeVideo, request)


async def _replace_video(
    first: _Instance, second: _Instance, readers: tuple[_Instance, ...], cql: Session, lost: Counter[str]
) -> None:
    video_id, user_id, old, new = str(uuid.uuid4()), str(uuid.uuid4()), _new_word(), _new_word()
    await _submit(first, video_id, user_id, old)
    await _submit(second, video_id, user_id, new)
    name = f"{new} {_WORD}"
    for reader in readers:
        catalog = reader.stubs.video_catalog
        row = await _answer(catalog.GetVideo, video_catalog.GetVideoRequest(video_id=Uuid(value=video_id)))
        lost["row"] += (row.name, list(row.tags), row.description) != (name, [f"{new}tag"], f"about {new}text")
        of_user = video_catalog.GetUserVideoPreviewsRequest(user_id=Uuid(value=user_id), page_size=9)
        page = await _answer(catalog.GetUserVideoPreviews, of_user)
        lost["user's list"] += [preview.name for preview in page.video_previews] != [name]
        latest = await _answer(
            catalog.GetLatestVideoPreviews, video_catalog.GetLatestVideoPreviewsRequest(page_size=1000)
        )
        names = [preview.name for preview in latest.video_previews if preview.video_id.value == video_id]
        lost["latest list"] += names != [name]
        for word, expected in ((old, []), (f"{old}text", []), (new, [video_id]), (f"{new}text", [video_id])):
            query = search.SearchVideosRequest(query=word, page_size=9)
            found = await _answer(reader.stubs.search.SearchVideos, query)
            lost["words"] += [video.video_id.value for video in found.videos] != expected
    for tag, tagged in ((f"{old}tag", []), (f"{new}tag", [name])):
        rows = cql.execute("SELECT name FROM videos_by_tag WHERE tag = %s", (tag,))
        lost["tags"] += [row.name for row in rows] != tagged
    for word in (old, f"{old}tag", f"{old}text"):
        lost["words"] += bool(list(cql.execute("SELECT videoid FROM video_words WHERE word = %s", (word,))))


async def _replace_comment(first: _Instance, second: _Instance, lost: Counter[str]) -> None:
    video, user = Uuid(value=str(uuid.uuid4())), Uuid(value=str(uuid.uuid4()))
    comment_id = TimeUuid(value=str(uuid.uuid1()))
    for instance, text in ((first, "first"), (second, "second")):
        request = comments.CommentOnVideoRequest(video_id=video, user_id=user, comment_id=comment_id, comment=text)
        await _answer(instance.stubs.comments.CommentOnVideo, request)
    of_video = await _answer(
        first.stubs.comments.GetVideoComments, comments.GetVideoCommentsRequest(video_id=video, page_size=9)
    )
    of_user = await _answer(
        second.stubs.comments.GetUserComments, comments.GetUserCommentsRequest(user_id=user, page_size=9)
    )
    for listed in (of_video.comments, of_user.comments):
        lost["comment"] += [comment.comment for comment in listed] != ["second"]


async def _replace_hash(first: _Instance, second: _Instance, cql: Session, lost: Counter[str]) -> None:
    """A user is created, gets a hash of the earlier kind, and logs in, which replaces it."""
    user_id, email, password = str(uuid.uuid4()), f"{_new_word()}@example.org", "secret"
    request = user_management.CreateUserRequest(
        user_id=Uuid(value=user_id), first_name="a", last_name="b", email=email, password=password
    )
    await _answer(first.stubs.user_management.CreateUser, request)
    md5 = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
    cql.execute("UPDATE user_credentials SET password = %s WHERE email = %s IF EXISTS", (md5, email))
    login = user_management.VerifyCredentialsRequest(email=email, password=password)
    for instance in (second, first):
        answer = await _answer(instance.stubs.user_management.VerifyCredentials, login)
        lost["password hash"] += answer.user_id.value != user_id
    row = cql.execute("SELECT password FROM user_credentials WHERE email = %s", (email,)).one()
    lost["password hash"] += not row.password.startswith("$argon2id$")


async def _replace_list(first: _Instance, second: _Instance, lost: Counter[str]) -> None:
    """A list of related videos is made, then its video is replaced by one that is like another."""
    user_id, video_id = str(uuid.uuid4()), str(uuid.uuid4())
    old, new = _new_word(), _new_word()
    like = {old: str(uuid.uuid4()), new: str(uuid.uuid4())}
    for word, neighbour in like.items():
        await _submit(first, neighbour, user_id, word)
    for submitter, word in ((first, old), (second, new)):
        await _submit(submitter, video_id, user_id, word)
        for reader in (submitter, first, second):
            await asyncio.sleep(_READ_AGAIN_SECONDS)  # a list is asked for again while the one before is new
            request = suggested_videos.GetRelatedVideosRequest(video_id=Uuid(value=video_id), page_size=1)
            page = await _answer(reader.stubs.suggested_videos.GetRelatedVideos, request)
            lost["suggestions"] += [video.video_id.value for video in page.videos] != [like[word]]


async def _answer(call: Callable[..., Awaitable[Any]], request: Any) -> Any:
    """The answer to a call that may be repeated; it is, a few times, while a busy machine has none."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await call(request, timeout=_CALL_SECONDS)
        except aio.AioRpcError as error:
            if error.code() not in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED):
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
    return await call(request, timeout=_CALL_SECONDS)


def _new_word() -> str:
    """A word that no other video has, of letters only."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in uuid.uuid4().hex[:14])
