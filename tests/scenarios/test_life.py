"""The life of service processes among real ones: start in any order, stop under calls, be killed in the middle, lose the database."""

import itertools
import re
import signal
import socket
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from infra.cassandra import Cassandra
from infra.etcd import Etcd
from infra.ports import free_port
from infra.processes import Process, wait_until
from tests.processes import SERVICES, ServiceProcess, advertised, run_module, serving
from tests.scenarios.wire import Wire, all_pages, new_id, refused, t, u

StartService = Callable[..., ServiceProcess]
Call = tuple[str, dict[str, Any]]
"""A call's name and its request's fields."""
STOP_ORDER = [
    "health is NOT_SERVING",
    "withdrawn: CommentsService",
    "calls under way",
    "server stopped",
    "database session closed",
    "stopped",
]


def wire_to(process: ServiceProcess) -> Wire:
    return Wire({SERVICES[slug]: process.address for slug in process.slugs})


class TestStart:
    def test_it_is_advertised_under_its_address_only_when_it_serves(self, start_service: StartService) -> None:
        process = start_service("comments")
        assert advertised(process.etcd, "CommentsService")[process.address] == process.address
        for service in ("", "killrvideo.comments.CommentsService"):
            assert serving(process.address, service)

    def test_a_taken_port_ends_it_at_once_with_a_clear_message(self, start_service: StartService) -> None:
        first = start_service("comments")
        second = start_service("comments", port=first.port, wait=False)
        assert second.wait_end(10) == 1
        assert f"port {first.port}" in second.log_text()
        assert "KILLRVIDEO_LISTEN_PORT" in second.log_text()
        assert serving(first.address)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("KILLRVIDEO_TTL", "soon"), ("KILLRVIDEO_DISCOVERY", "zoo"), ("KILLRVIDEO_ETCD", "host:port")],
    )
    def test_a_wrong_setting_names_itself_its_value_and_ends_it(
        self, start_service: StartService, name: str, value: str
    ) -> None:
        process = start_service("comments", wait=False, **{name: value})
        assert process.wait_end(10) == 2
        assert f"{name}={value!r}" in process.log_text()

    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_the_wait_for_cassandra(self, start_service: StartService, signum: signal.Signals) -> None:
        process = start_service("comments", wait=False, KILLRVIDEO_DSE_CONTACT_POINTS=f"127.0.0.1:{free_port()}")
        wait_until(lambda: "waiting for Cassandra" in process.log_text(), 15, "it waits")
        process.send(signum)
        assert process.wait_end(10) == 0

    def test_a_signal_ends_the_wait_for_a_cassandra_that_takes_connections_and_answers_none(
        self, start_service: StartService
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(30)
            points = f"127.0.0.1:{silent.getsockname()[1]}"
            process = start_service("comments", wait=False, KILLRVIDEO_DSE_CONTACT_POINTS=points)
            held, _ = silent.accept()
            with held:
                process.terminate()
                assert process.wait_end(10) == 0


class TestStop:
    def test_sigterm_under_calls_fails_none_and_keeps_the_order(self, start_service: StartService) -> None:
        process = start_service("comments")
        wire, video_id, outcomes = wire_to(process), new_id(), []
        gone = threading.Event()

        def call_until_gone() -> None:
            while not gone.is_set():
                try:
                    wire.CommentOnVideo(
                        video_id=u(video_id), user_id=u(new_id()), comment_id=t(uuid.uuid1()), comment="x"
                    )
                    outcomes.append("OK")
                except grpc.RpcError as error:
                    outcomes.append(str(error))

        with ThreadPoolExecutor(8) as pool:
            callers = [pool.submit(call_until_gone) for _ in range(8)]
            wait_until(lambda: len(outcomes) > 200, 30, "calls are flowing")
            process.terminate()
            # A caller leaves when the entry does; until then, and for the calls it has begun, everything is answered.
            wait_until(
                lambda: process.address not in advertised(process.etcd, "CommentsService").values(), 5, "entry gone"
            )
            gone.set()
            for caller in callers:
                caller.result()
        assert process.wait_end(10) == 0
        assert set(outcomes) == {"OK"}
        log = process.log_text()
        positions = [log.rindex(line) for line in STOP_ORDER]
        assert positions == sorted(positions), log

    def test_further_signals_do_not_break_the_order(self, start_service: StartService) -> None:
        process = start_service("comments")
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            process.send(signum)
        assert process.wait_end(10) == 0
        assert "server stopped" in process.log_text()
        assert process.address not in advertised(process.etcd, "CommentsService").values()

    def test_a_service_without_instances_has_no_directory(self, tmp_path: Path, start_service: StartService) -> None:
        with Etcd(tmp_path / "etcd", free_port()) as etcd:
            process = start_service("comments", KILLRVIDEO_ETCD=etcd.address)
            process.terminate()
            assert process.wait_end(10) == 0
            with pytest.raises(Exception, match="404"):
                _directory(etcd.address, "CommentsService")


class TestTwoInstances:
    def test_a_page_begun_on_one_instance_continues_on_another(self, start_service: StartService) -> None:
        one, other = wire_to(start_service("comments")), wire_to(start_service("comments"))
        video_id = new_id()
        ids = [str(uuid.uuid1()) for _ in range(9)]
        for each in ids:
            one.CommentOnVideo(video_id=u(video_id), user_id=u(new_id()), comment_id=t(each), comment="x")
        found, state, turns = [], "", itertools.cycle([other, one])
        while True:
            answer = next(turns).GetVideoComments(video_id=u(video_id), page_size=2, paging_state=state)
            found += [row.comment_id.value for row in answer.comments]
            state = answer.paging_state
            if not state:
                break
        assert found == ids[::-1]

    def test_a_token_works_after_a_restart(self, start_service: StartService) -> None:
        process = start_service("comments")
        video_id = new_id()
        for _ in range(3):
            wire_to(process).CommentOnVideo(
                video_id=u(video_id), user_id=u(new_id()), comment_id=t(uuid.uuid1()), comment="x"
            )
        state = wire_to(process).GetVideoComments(video_id=u(video_id), page_size=2).paging_state
        process.kill()
        process.start()
        process.wait_ready()
        assert (
            len(wire_to(process).GetVideoComments(video_id=u(video_id), page_size=2, paging_state=state).comments) == 1
        )


class TestSeveralInOneProcess:
    def test_all_seven_on_one_port_have_the_articles_seven_keys(
        self, start_service: StartService, tmp_path: Path
    ) -> None:
        with Etcd(tmp_path / "etcd", free_port()) as etcd:
            process = start_service(*SERVICES, KILLRVIDEO_ETCD=etcd.address, KILLRVIDEO_INSTANCE="killrvideo-python")
            for service in SERVICES.values():
                assert advertised(etcd.address, service) == {"killrvideo-python": process.address}
            wire = wire_to(process)
            with refused(grpc.StatusCode.NOT_FOUND):
                wire.GetVideo(video_id=u(new_id()))
            assert wire.GetRating(video_id=u(new_id())).ratings_count == 0

    def test_some_of_the_seven_share_a_port(self, start_service: StartService) -> None:
        process = start_service("comments", "ratings")
        wire = wire_to(process)
        assert not wire.GetVideoComments(video_id=u(new_id()), page_size=1).comments
        assert wire.GetRating(video_id=u(new_id())).ratings_count == 0

    def test_an_unknown_name_lists_the_right_ones(self, start_service: StartService) -> None:
        process = start_service("comments", "coments", wait=False)
        assert process.wait_end(10) == 1
        assert re.search(r"coments.*There are: comments, ratings", process.log_text())


class TestKilledInTheMiddle:
    """kill -9 at random moments under calls: whatever step it hits, the same calls made again complete, and what is there agrees."""

    ROUNDS = 4

    def _kill_under(self, start_service: StartService, slug: str, calls: list[Call]) -> tuple[Wire, list[bool]]:
        """Make `calls`, eight at once, kill the process in the middle of them, start it anew. Returns which were acknowledged."""
        process = start_service(slug)
        acknowledged = [False] * len(calls)
        wire = wire_to(process)

        def make(number: int) -> None:
            try:
                _make(wire, calls[number])
                acknowledged[number] = True
            except grpc.RpcError:
                pass

        with ThreadPoolExecutor(8) as pool:
            made = [pool.submit(make, number) for number in range(len(calls))]
            wait_until(lambda: sum(acknowledged) > len(calls) // 4, 30, "calls are flowing")
            process.kill()
            for each in made:
                each.result()
        process.start()
        process.wait_ready()
        return wire_to(process), acknowledged

    def test_ratings_stay_exact(self, start_service: StartService) -> None:
        for _ in range(self.ROUNDS):
            video_id = new_id()
            users = [(new_id(), 1 + n % 5) for n in range(120)]
            calls: list[Call] = [
                ("RateVideo", {"video_id": u(video_id), "user_id": u(user_id), "rating": rating})
                for user_id, rating in users
            ]
            wire, acknowledged = self._kill_under(start_service, "ratings", calls)
            there = [wire.GetUserRating(video_id=u(video_id), user_id=u(user_id)).rating for user_id, _ in users]
            totals = wire.GetRating(video_id=u(video_id))
            assert (totals.ratings_count, totals.ratings_total) == (sum(map(bool, there)), sum(there))
            assert all(there[n] == users[n][1] for n in range(len(users)) if acknowledged[n]), (
                "an acknowledged rating is lost"
            )
            for call in calls:
                _make(wire, call)
            totals = wire.GetRating(video_id=u(video_id))
            assert (totals.ratings_count, totals.ratings_total) == (120, sum(rating for _, rating in users))

    def test_users_can_be_completed_and_lock_no_address(self, start_service: StartService) -> None:
        ids = [new_id() for _ in range(40)]
        person = {"first_name": "A", "last_name": "B", "password": "secret"}
        calls: list[Call] = [
            ("CreateUser", {"user_id": u(each), "email": f"{each}@example.org", **person}) for each in ids
        ]
        wire, acknowledged = self._kill_under(start_service, "user_management", calls)
        for number, call in enumerate(calls):
            status = _outcome(wire, call)
            assert status == "ALREADY_EXISTS" or (status == "OK" and not acknowledged[number])
            assert (
                wire.VerifyCredentials(email=f"{ids[number]}@example.org", password="secret").user_id.value
                == ids[number]
            )
        assert len(wire.GetUserProfile(user_ids=[u(each) for each in ids]).profiles) == len(ids)

    def test_videos_are_whole_or_not_there_and_can_be_completed(self, start_service: StartService) -> None:
        user_id = new_id()
        ids = [new_id() for _ in range(60)]
        video = {"user_id": u(user_id), "tags": ["a"], "you_tube_video_id": "x"}
        calls: list[Call] = [
            ("SubmitYouTubeVideo", {"video_id": u(each), "name": f"n {each}", **video}) for each in ids
        ]
        wire, acknowledged = self._kill_under(start_service, "video_catalog", calls)

        def listed() -> dict[str, int]:
            rows = all_pages(wire.GetUserVideoPreviews, "video_previews", 25, user_id=u(user_id))
            assert len(rows) == len({row.video_id.value for row in rows})
            return {row.video_id.value: row.added_date.ToMilliseconds() for row in rows}

        def in_videos() -> dict[str, int]:
            found = wire.GetVideoPreviews(video_ids=[u(each) for each in ids]).video_previews
            return {row.video_id.value: row.added_date.ToMilliseconds() for row in found}

        assert listed() == in_videos()
        assert {each for each, done in zip(ids, acknowledged, strict=True) if done} <= set(listed())
        for call in calls:
            _make(wire, call)
        assert listed() == in_videos()
        assert set(listed()) == set(ids)


@pytest.fixture(scope="class")
def stoppable_cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    """A Cassandra of its own, with the schema, that tests stop and start."""
    folder = tmp_path_factory.mktemp("stoppable")
    with Etcd(folder / "etcd", free_port()) as etcd, Cassandra(folder / "cassandra", free_port()) as node:
        run_module(
            "schema",
            environment={"KILLRVIDEO_ETCD": etcd.address, "KILLRVIDEO_DSE_CONTACT_POINTS": node.address},
            folder=folder,
        )
        yield node


class TestCassandraLeavesAndReturns:
    """Promise 6: the process stays up, fails fast, leaves the registry, and is healthy within 10 s of Cassandra's return."""

    @pytest.mark.parametrize("how", ["stopped", "hung"])
    def test_the_process_stays_up_and_returns(
        self, start_service: StartService, stoppable_cassandra: Cassandra, how: str
    ) -> None:
        process = start_service("comments", KILLRVIDEO_DSE_CONTACT_POINTS=stoppable_cassandra.address)
        wire = wire_to(process)
        ask = {"video_id": u(new_id()), "page_size": 1}
        wire.GetVideoComments(**ask)
        if how == "stopped":
            stoppable_cassandra.stop()
        else:
            stoppable_cassandra.pause()
        try:
            wait_until(lambda: not serving(process.address), 10, "health NOT_SERVING")
            wait_until(
                lambda: process.address not in advertised(process.etcd, "CommentsService").values(), 10, "withdrawn"
            )
            for _ in range(3):
                began = time.monotonic()
                with refused(grpc.StatusCode.UNAVAILABLE):
                    wire.GetVideoComments(**ask)
                assert time.monotonic() - began < 1, "calls fail fast"
        finally:
            if how == "stopped":
                stoppable_cassandra.start()
                stoppable_cassandra.wait_ready(120)
            else:
                stoppable_cassandra.resume()
        wait_until(process.is_ready, 10, "healthy and advertised within 10 s of Cassandra's return")
        wire.GetVideoComments(**ask)
        assert process.alive


class TestStartOrder:
    """Promise 7: etcd, Cassandra and services in any order converge within 10 s of the last."""

    @pytest.mark.parametrize("order", list(itertools.permutations(["etcd", "cassandra", "service"])), ids="-".join)
    def test_any_order_converges(
        self, order: tuple[str, ...], start_service: StartService, stoppable_cassandra: Cassandra, tmp_path: Path
    ) -> None:
        stoppable_cassandra.stop()
        etcd = Etcd(tmp_path / "etcd", free_port())
        processes: list[ServiceProcess] = []

        def start(what: str) -> None:
            if what == "service":
                addresses = {
                    "KILLRVIDEO_ETCD": etcd.address,
                    "KILLRVIDEO_DSE_CONTACT_POINTS": stoppable_cassandra.address,
                }
                processes.append(start_service("comments", wait=False, **addresses))
                return
            part: Process = etcd if what == "etcd" else stoppable_cassandra
            part.start()
            part.wait_ready(120)

        try:
            for what in order:
                start(what)
            wait_until(processes[0].is_ready, 10, "serving and advertised within 10 s of the last start")
        finally:
            etcd.stop()
            if not stoppable_cassandra.alive:
                stoppable_cassandra.start()
                stoppable_cassandra.wait_ready(120)


def _make(wire: Wire, call: Call) -> None:
    method, fields = call
    getattr(wire, method)(**fields)


def _outcome(wire: Wire, call: Call) -> str:
    try:
        _make(wire, call)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def _directory(etcd: str, service: str) -> bytes:
    with urllib.request.urlopen(f"http://{etcd}/v2/keys/killrvideo/services/{service}", timeout=5) as answer:
        content: bytes = answer.read()
        return content
