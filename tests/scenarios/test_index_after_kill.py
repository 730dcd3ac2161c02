"""A process that is killed right after it has answered a submit leaves the rest of the index to another one, or to itself when it is back."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.processes import SERVICES, ServiceProcess
from tests.scenarios.wire import Wire, eventually, new_word, submit

StartService = Callable[..., ServiceProcess]
IN_TIME_SECONDS = 10.0


def wire_to(*processes: ServiceProcess) -> Wire:
    return Wire({SERVICES[slug]: process.address for process in processes for slug in process.slugs})


def ids(answer: Any) -> list[str]:
    return [video.video_id.value for video in answer.videos]


@pytest.mark.parametrize("restarted", [False, True], ids=["another process", "restarted"])
def test_spellings_and_the_end_of_a_description_follow_in_time(start_service: StartService, restarted: bool) -> None:
    search, killed = start_service("search"), start_service("video_catalog")
    wire = wire_to(search, killed)
    if not restarted:
        start_service("video_catalog")
    name, late = new_word(), new_word()
    video = submit(wire, name, description=f"{'about this ' * 200} {late}")
    killed.kill()
    assert ids(wire.SearchVideos(query=name, page_size=5)) == [video]
    assert not ids(wire.SearchVideos(query=late, page_size=5))
    if restarted:
        killed.start()
        killed.wait_ready()
    for query in (late, f"{name[:5]}{name[6:]}"):  # the second mistyped
        eventually(lambda: ids(wire.SearchVideos(query=query, page_size=5)) == [video], IN_TIME_SECONDS, query)  # noqa: B023
    wire.close()
