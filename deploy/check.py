"""One action of each kind, done through the services as any caller would. `make containers` runs it in each deployment; operators can too.

    python -m deploy.check                register, sign in, submit, find, comment, rate, play, suggest
    python -m deploy.check --video ID     only whether the video of an earlier check is still there, with its comment and its rating
    python -m deploy.check --writing 40   comment for 40 seconds at a steady rate; at the end read all acknowledged comments back

Prints what did not work, and as its last line a JSON object with the figures. Exit code 0 if all worked; while writing, a call may fail (its
status is counted), but no acknowledged comment may be lost.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any
from uuid import UUID, uuid1, uuid4

import grpc

from client import Services
from protos.comments_pb2 import CommentOnVideoRequest, GetVideoCommentsRequest
from protos.common_pb2 import TimeUuid, Uuid
from protos.ratings_pb2 import GetRatingRequest, RateVideoRequest
from protos.search_pb2 import SearchVideosRequest
from protos.statistics_pb2 import GetNumberOfPlaysRequest, RecordPlaybackStartedRequest
from protos.suggested_videos_pb2 import GetRelatedVideosRequest
from protos.user_management_pb2 import CreateUserRequest, GetUserProfileRequest, VerifyCredentialsRequest
from protos.video_catalog_pb2 import GetLatestVideoPreviewsRequest, GetVideoRequest, SubmitYouTubeVideoRequest

_SECONDS = 10.0
_COMMENTS_A_SECOND = 10


class NotAsPromised(Exception):
    """A call was answered, but not with what it should answer."""


def expect(truth: object, what: str) -> None:
    """Raise NotAsPromised with `what` unless `truth`."""
    if not truth:
        raise NotAsPromised(what)


def uuid(value: UUID) -> Uuid:
    """An id as a message."""
    return Uuid(value=str(value))


async def everything(services: Services) -> dict[str, Any]:
    """All that a person does, from registering to the videos suggested next. Returns the id of the video. Raises NotAsPromised and RpcError."""
    user, video = uuid4(), uuid4()
    await register_and_sign_in(services, user)
    await submit_and_find(services, user, video)
    await comment_rate_and_play(services, user, video)
    return await still_there(services, video)


async def register_and_sign_in(services: Services, user: UUID) -> None:
    """Create a user, sign in as that user, and read the profile."""
    email, password = f"check-{user}@example.com", f"p{uuid4()}"
    people = services.user_management
    await people.CreateUser(
        CreateUserRequest(user_id=uuid(user), first_name="Check", last_name="Up", email=email, password=password),
        timeout=_SECONDS,
    )
    known = await people.VerifyCredentials(VerifyCredentialsRequest(email=email, password=password), timeout=_SECONDS)
    expect(known.user_id.value == str(user), "signing in does not give the user who registered")
    profiles = await people.GetUserProfile(GetUserProfileRequest(user_ids=[uuid(user)]), timeout=_SECONDS)
    expect([profile.email for profile in profiles.profiles] == [email], "the profile is not there")


async def submit_and_find(services: Services, user: UUID, video: UUID) -> None:
    """Submit a video, and find it among the latest and by a word of its name."""
    word = f"word{video.hex[:12]}"
    await services.video_catalog.SubmitYouTubeVideo(
        SubmitYouTubeVideoRequest(
            video_id=uuid(video), user_id=uuid(user), name=f"Check {word}", tags=["check"], you_tube_video_id="check"
        ),
        timeout=_SECONDS,
    )
    latest = await services.video_catalog.GetLatestVideoPreviews(
        GetLatestVideoPreviewsRequest(page_size=100), timeout=_SECONDS
    )
    expect(
        str(video) in [preview.video_id.value for preview in latest.video_previews], "the video is not among the latest"
    )
    found = await services.search.SearchVideos(SearchVideosRequest(query=word, page_size=10), timeout=_SECONDS)
    expect([result.video_id.value for result in found.videos] == [str(video)], "the search does not find the video")


async def comment_rate_and_play(services: Services, user: UUID, video: UUID) -> None:
    """Comment on a video, rate it and play it, and read the number of plays and the related videos."""
    await services.comments.CommentOnVideo(
        CommentOnVideoRequest(
            video_id=uuid(video), user_id=uuid(user), comment_id=TimeUuid(value=str(uuid1())), comment="Works."
        ),
        timeout=_SECONDS,
    )
    await services.ratings.RateVideo(
        RateVideoRequest(video_id=uuid(video), user_id=uuid(user), rating=4), timeout=_SECONDS
    )
    await services.statistics.RecordPlaybackStarted(
        RecordPlaybackStartedRequest(video_id=uuid(video)), timeout=_SECONDS
    )
    plays = await services.statistics.GetNumberOfPlays(
        GetNumberOfPlaysRequest(video_ids=[uuid(video)]), timeout=_SECONDS
    )
    expect([play.views for play in plays.stats] == [1], "the play is not counted")
    related = await services.suggested_videos.GetRelatedVideos(
        GetRelatedVideosRequest(video_id=uuid(video), page_size=5), timeout=_SECONDS
    )
    expect(str(video) not in [preview.video_id.value for preview in related.videos], "a video is related to itself")


async def still_there(services: Services, video: UUID) -> dict[str, Any]:
    """Check that a video that `everything` made is there with its comment and its rating. Raises NotAsPromised and RpcError."""
    await services.video_catalog.GetVideo(GetVideoRequest(video_id=uuid(video)), timeout=_SECONDS)
    comments = await services.comments.GetVideoComments(
        GetVideoCommentsRequest(video_id=uuid(video), page_size=10), timeout=_SECONDS
    )
    expect([comment.comment for comment in comments.comments] == ["Works."], "the comment is not there")
    rating = await services.ratings.GetRating(GetRatingRequest(video_id=uuid(video)), timeout=_SECONDS)
    expect((rating.ratings_count, rating.ratings_total) == (1, 4), "the rating is not there")
    return {"video": str(video)}


async def writing(services: Services, seconds: float) -> dict[str, Any]:
    """Comment at a steady rate, even while calls fail; then read all back. Returns how many were asked, acknowledged, failed and lost."""
    video, user = uuid(uuid4()), uuid(uuid4())
    acknowledged: set[str] = set()
    failed: Counter[str] = Counter()

    async def comment(due: float) -> None:
        await asyncio.sleep(due)
        comment_id = str(uuid1())
        request = CommentOnVideoRequest(
            video_id=video, user_id=user, comment_id=TimeUuid(value=comment_id), comment="Works."
        )
        try:
            await services.comments.CommentOnVideo(request, timeout=_SECONDS)
            acknowledged.add(comment_id)
        except grpc.RpcError as error:
            failed[error.code().name] += 1

    asked = int(seconds * _COMMENTS_A_SECOND)
    async with asyncio.TaskGroup() as group:
        for number in range(asked):
            group.create_task(comment(number / _COMMENTS_A_SECOND))
    lost = len(acknowledged - await comment_ids(services, video))
    return {"asked": asked, "acknowledged": len(acknowledged), "failed": dict(failed), "lost": lost}


async def comment_ids(services: Services, video: Uuid) -> set[str]:
    """The ids of all comments on a video."""
    ids: set[str] = set()
    request = GetVideoCommentsRequest(video_id=video, page_size=500)
    while True:
        page = await services.comments.GetVideoComments(request, timeout=_SECONDS)
        ids.update(comment.comment_id.value for comment in page.comments)
        if not page.paging_state:
            return ids
        request.paging_state = page.paging_state


async def run_check(arguments: argparse.Namespace) -> bool:
    """Do what the command line asks for and print the figures. Returns whether all worked."""
    began = time.monotonic()
    figures: dict[str, Any] = {}
    try:
        async with Services.from_settings() as services:
            if arguments.writing:
                figures = await writing(services, arguments.writing)
                expect(not figures["lost"], f"{figures['lost']} acknowledged comments are lost")
            elif arguments.video:
                figures = await still_there(services, arguments.video)
            else:
                figures = await everything(services)
    except grpc.RpcError as error:
        figures["wrong"] = f"{error.code().name}: {error.details()}"
    except NotAsPromised as error:
        figures["wrong"] = str(error)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - began, 1)}))
    return "wrong" not in figures


def main() -> None:
    """Read the command line and exit 0 if all worked, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.check", description="Tries one action of each kind through the services."
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--video", type=UUID, help="only check that the video of an earlier check is still there")
    which.add_argument(
        "--writing", type=float, metavar="SECONDS", help="comment at a steady rate and read all back at the end"
    )
    sys.exit(0 if asyncio.run(run_check(parser.parse_args())) else 1)


if __name__ == "__main__":
    main()
