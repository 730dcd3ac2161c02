"""`python -m sampledata` as a person runs it: what it prints, its exit codes, and how a stopped load continues."""

import asyncio
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from infra.layout import ROOT
from infra.processes import Process, wait_until
from protos import video_catalog_pb2
from tests.sampledata.fakes import (
    ANN,
    FIRST_VIDEO,
    SECOND_VIDEO,
    VIDEOS,
    FakeServices,
    small_set,
)


async def run_loader(fakes: FakeServices, folder: Path, log: Path, *options: str) -> tuple[int, str]:
    process = Process(
        "sampledata",
        [sys.executable, "-m", "sampledata", str(folder), *options],
        log,
        environment=fakes.environment,
        folder=ROOT,
    )
    process.start()
    code = await asyncio.to_thread(process.wait_end, 90)
    return code, process.log_text()


@pytest.mark.processes
async def test_the_command_loads_prints_and_exits_by_what_was_done(fakes: FakeServices, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    small_set(folder)
    code, text = await run_loader(fakes, folder, tmp_path / "1.log")
    assert code == 0, text
    assert list(fakes.videos.videos) == [SECOND_VIDEO, FIRST_VIDEO]
    assert fakes.users.users[ANN].password == "killrvideo"

    with (folder / "videos.csv").open("a") as file:
        file.write("nope,,,,,,,\n")
    code, text = await run_loader(fakes, folder, tmp_path / "2.log")
    assert code == 3, text
    assert f"skipped {folder}/videos.csv:6: videoid is not a UUID: 'nope'" in text

    code, text = await run_loader(fakes, tmp_path, tmp_path / "3.log")
    assert (code, "there is no videos.csv" in text) == (1, True)


@pytest.mark.processes
async def test_if_empty_leaves_other_videos_alone_and_completes_its_own(fakes: FakeServices, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    small_set(folder)
    stranger = str(uuid4())
    fakes.videos.videos[stranger] = video_catalog_pb2.SubmitYouTubeVideoRequest(name="other")
    code, text = await run_loader(fakes, folder, tmp_path / "1.log", "--if-empty")
    assert (code, "there are other videos already" in text) == (0, True)
    assert list(fakes.videos.videos) == [stranger]

    fakes.videos.videos = {FIRST_VIDEO: video_catalog_pb2.SubmitYouTubeVideoRequest(name="newer")}
    code, text = await run_loader(fakes, folder, tmp_path / "2.log", "--if-empty")
    assert code == 0, text
    assert set(fakes.videos.videos) == set(VIDEOS)


@pytest.mark.processes
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["Ctrl-C", "SIGTERM", "kill -9"]
)
async def test_a_load_that_was_stopped_continues_where_it_was(
    fakes: FakeServices, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    small_set(folder, video_playback_stats=f"videoid,views\n{FIRST_VIDEO},3000\n")
    process = Process(
        "sampledata",
        [sys.executable, "-m", "sampledata", str(folder), "--at-once", "2"],
        tmp_path / "stopped.log",
        environment=fakes.environment,
        folder=ROOT,
    )
    process.start()
    await asyncio.to_thread(wait_until, lambda: fakes.statistics.views[FIRST_VIDEO] > 0, 60, "the first play")
    process.send(number)
    code = await asyncio.to_thread(process.wait_end, 20)
    assert fakes.statistics.views[FIRST_VIDEO] < 3000, "stopped too late to show anything"
    assert code == (-9 if number == signal.SIGKILL else 130), process.log_text()
    assert ("the same command continues the load" in process.log_text()) == (number != signal.SIGKILL)

    code, text = await run_loader(fakes, folder, tmp_path / "again.log")
    assert code == 0, text
    assert fakes.statistics.views[FIRST_VIDEO] == 3000
