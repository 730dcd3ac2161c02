"""The trials. Each is a function of the world that does one fault and returns what it measured; their order here is that of the promises."""

import asyncio
import json
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc

from discovery.tests.proxy import Proxy
from discovery.tests.storm import STORMS
from discovery.tests.storm import storm as let_storm
from grpc_discovery import Registration, Registry, RegistryUnavailable, State, open_registry
from grpc_discovery.balancing.endpoint import Health
from protos import comments_pb2 as comments
from protos import comments_pb2_grpc
from protos.common_pb2 import Uuid
from tests.chaos.load import Load
from tests.chaos.world import SERVICE, SLACK_SECONDS, Measured, World
from tests.processes import ServiceProcess

Trial = Callable[[World], Awaitable[list[Measured]]]
RATE = 50.0


async def port_taken(world: World) -> list[Measured]:
    """A second instance on the port of the first."""
    async with world.instances(1) as (first,):
        second = world.instance(port=first.port)
        began = time.monotonic()
        second.start()
        code = await asyncio.to_thread(second.wait_end, 20)
        took = time.monotonic() - began
        log = second.log_text()  # both instances write it
        clear = code == 1 and f"port {first.port}" in log and log.count("advertised as") == 1
        return [
            Measured(
                "1", "a port that is taken: ends with 1 and says so", 15, took, holds=clear and world.serves(first)
            )
        ]


async def killed(world: World) -> list[Measured]:
    """`kill -9` of one of two, then of the last: its key, and at last the directory, are gone within TTL + 1 s."""
    async with world.instances(2) as (one, other), world.caller() as services, Load(services, RATE) as load:
        await load.run(1)
        one.kill()
        gone = await world.until(lambda: one.address not in world.advertised(), world.ttl + 10, "the key goes")
        await load.run(1)
        await load.__aexit__(None, None, None)
        failed = load.failed
        wrong = await load.lost_or_doubled()
        other.kill()
        directory = await world.until(lambda: not _directory_exists(world), world.ttl + 10, "the directory goes")
    return [
        Measured("3", "kill -9 of one of two: its key is gone", world.ttl + 1, gone),
        Measured("3", "kill -9 of the last: no empty directory is left", world.ttl + 1, directory),
        Measured("11", f"kill -9 under {RATE:g} calls/s: failed calls", 0, sum(failed.values()), "calls", str(load)),
        Measured("13", "comments acknowledged meanwhile and lost, or there twice", 0, wrong, "comments"),
    ]


async def stopped_in_order(world: World) -> list[Measured]:
    """SIGTERM under load: nobody notices, and the log tells the order."""
    async with world.instances(2) as (one, _), world.caller() as services, Load(services, RATE) as load:
        await load.run(1)
        began = time.monotonic()
        one.terminate()
        gone = await world.until(lambda: one.address not in world.advertised(), 10, "the key goes")
        code = await asyncio.to_thread(one.wait_end, 20)
        took = time.monotonic() - began
        await load.run(1)
    log = one.log_text()
    order = [
        "health is NOT_SERVING",
        "withdrawn: ",
        "calls under way",
        "server stopped",
        "database session closed",
        "service: stopped",
    ]
    places = [log.find(line) for line in order]
    in_order = all(place >= 0 for place in places) and all(a < b for a, b in pairwise(places))
    return [
        Measured("3", "SIGTERM: the key is removed", 2, gone),
        Measured(
            "3",
            "SIGTERM: health, key, wait, calls, server, session, exit 0, in this order",
            15,
            took,
            holds=code == 0 and in_order,
        ),
        Measured(
            "13", f"SIGTERM under {RATE:g} calls/s: failed calls", 0, sum(load.failed.values()), "calls", str(load)
        ),
    ]


async def key_deleted(world: World) -> list[Measured]:
    """Somebody deletes one key, then the whole directory."""
    async with world.instances(2) as processes:
        addresses = {process.address for process in processes}
        _delete(world, f"{SERVICE}/{processes[0].address}")
        one = await world.until(lambda: addresses <= set(world.advertised().values()), world.ttl * 2, "the key is back")
        _delete(world, SERVICE)
        whole = await world.until(
            lambda: addresses <= set(world.advertised().values()), world.ttl * 2, "the directory is back"
        )
    renewal = world.ttl / 3 + SLACK_SECONDS
    return [
        Measured("4", "one key deleted: back", renewal, one),
        Measured("4", "the whole directory deleted: back", renewal, whole),
    ]


async def etcd_wiped(world: World) -> list[Measured]:
    """etcd comes back empty."""
    async with world.instances(2) as processes, world.caller() as services, Load(services, RATE) as load:
        pids = [process.pid for process in processes]
        await asyncio.to_thread(world.etcd.stop)
        world.etcd.wipe()
        await asyncio.to_thread(world.etcd.start)
        await world.until(world.etcd.is_ready, 20, "etcd is back")
        addresses = {process.address for process in processes}
        back = await world.until(lambda: addresses <= set(world.advertised().values()), world.ttl * 3, "all are back")
        await load.run(1)
        same = pids == [process.pid for process in processes] and all(process.alive for process in processes)
    return [
        Measured("4", "etcd restarted empty: all back, no restart", world.ttl, back, holds=same),
        Measured("10", "meanwhile: failed calls", 0, sum(load.failed.values()), "calls", str(load)),
    ]


async def etcd_away(world: World) -> list[Measured]:
    """etcd is stopped for longer than a TTL, then hangs for as long."""
    rows = []
    async with world.instances(2) as processes, world.caller() as services:
        addresses = {process.address for process in processes}
        for what, leave, come_back in (
            ("stopped", world.etcd.stop, world.etcd.start),
            ("paused (SIGSTOP)", world.etcd.pause, world.etcd.resume),
        ):
            async with Load(services, RATE) as load:
                before = sum(process.log_text().count("advertised as") for process in processes)
                await asyncio.to_thread(leave)
                await load.run(world.ttl + 3)
                await asyncio.to_thread(come_back)
                await world.until(world.etcd.is_ready, 20, "etcd is back")

                def all_back(before: int = before) -> bool:
                    # Old entries may have outlived etcd's absence, so each instance must also have said so anew.
                    said = sum(process.log_text().count("advertised as") for process in processes) - before
                    return said >= len(processes) and addresses <= set(world.advertised().values())

                back = await world.until(all_back, 30, "all are back")
                await load.run(1)
            rows += [
                Measured(
                    "5", f"etcd {what} for {world.ttl + 3:g} s: all back after its return", 5 + SLACK_SECONDS, back
                ),
                Measured("5", f"etcd {what}: failed calls meanwhile", 0, sum(load.failed.values()), "calls", str(load)),
            ]
    return rows


async def partition(world: World) -> list[Measured]:
    """Everything between one instance and etcd is dropped; connections stay half open."""
    async with Proxy(world.etcd.address) as proxy:
        lonely = world.instance(KILLRVIDEO_ETCD=proxy.address)
        lonely.etcd = world.etcd.address
        async with world.instances(1), world.caller() as services:
            lonely.start()
            await world.until(lonely.is_ready, 90, "the instance behind the proxy serves")
            async with Load(services, RATE) as load:
                proxy.fall_silent()
                gone = await world.until(
                    lambda: lonely.address not in world.advertised(), world.ttl * 3, "its key expires"
                )
                calm = world.serves(lonely)
                proxy.heal()
                back = await world.until(lambda: lonely.address in world.advertised().values(), 30, "it is back")
                await load.run(0.5)
            await asyncio.to_thread(lonely.stop)
    return [
        Measured("5", "one instance cut off from etcd: its key expires, it serves on", world.ttl + 1, gone, holds=calm),
        Measured("5", "the same, healed: back", 5 + SLACK_SECONDS, back),
        Measured("5", "meanwhile: failed calls", 0, sum(load.failed.values()), "calls", str(load)),
    ]


async def hundred_instances(world: World) -> list[Measured]:
    """A hundred places kept in this process; etcd is restarted, and its writes are counted while all is calm."""
    registry = await open_registry(world.settings().registry)
    keepers = [
        Registration(registry, f"Simulated{number % 7}", f"h:{number + 1}", f"h:{number + 1}", world.ttl)
        for number in range(100)
    ]
    try:
        for keeper in keepers:
            keeper.set_serving(True)
            keeper.start()
        await world.until(
            lambda: all(keeper.state is State.ADVERTISED for keeper in keepers), 20, "a hundred are advertised"
        )
        before, began = _etcd_writes(world), time.monotonic()
        await asyncio.sleep(world.ttl)
        rate = (_etcd_writes(world) - before) / (time.monotonic() - began)
        expected = 100 / (world.ttl / 3 * 0.95)
        await asyncio.to_thread(world.etcd.stop)
        await asyncio.sleep(world.ttl + 1)
        await asyncio.to_thread(world.etcd.start)
        await world.until(world.etcd.is_ready, 20, "etcd is back")

        def all_there() -> bool:
            return sum(len(_entries(world, f"Simulated{number}")) for number in range(7)) == 100

        back = await world.until(all_there, 30, "a hundred are back")
        log_note = f"arithmetic says {expected:.0f} a second"
        return [
            Measured("5", "a hundred instances after an etcd restart: all back", 5 + SLACK_SECONDS, back),
            Measured(
                "2", "etcd's writes a second for a hundred idle instances", expected * 1.25, rate, "writes/s", log_note
            ),
        ]
    finally:
        await asyncio.gather(*(keeper.withdraw() for keeper in keepers))
        await registry.close()


async def cassandra_away(world: World) -> list[Measured]:
    """Cassandra stops and comes back."""
    async with world.instances(2) as processes:
        pids = [process.pid for process in processes]
        await asyncio.to_thread(world.cassandra.kill)
        sick = await world.until(
            lambda: not any(world.serves(process) for process in processes), 30, "health turns NOT_SERVING"
        )
        left = await world.until(lambda: not world.advertised(), 20, "nobody is advertised")
        status, took = await asyncio.to_thread(_one_call, processes[0])
        await asyncio.to_thread(world.cassandra.start)
        await asyncio.to_thread(world.cassandra.wait_ready, 600)
        well = await world.until(
            lambda: all(world.serves(process) for process in processes), 60, "health turns SERVING"
        )
        back = await world.until(lambda: len(world.advertised()) == 2, 20, "both are advertised")
        same = pids == [process.pid for process in processes] and all(process.alive for process in processes)
    return [
        Measured("6", "Cassandra killed: health NOT_SERVING", 10, sick, holds=same),
        Measured("6", "the same: nobody is advertised any more, spread over 2 s", 2 + 2, left),
        Measured(
            "6", "a call meanwhile fails with UNAVAILABLE after", 2, took, note=status, holds=status == "UNAVAILABLE"
        ),
        Measured("6", "Cassandra back: healthy", 10, well),
        Measured("6", "the same: advertised again", 2 + 2, back),
    ]


async def any_order(world: World) -> list[Measured]:
    """Services first, then etcd: it is the last to come."""
    await asyncio.to_thread(world.etcd.stop)
    process = world.instance()
    process.start()
    await asyncio.sleep(4)
    waited = process.alive and not world.serves(process)
    await asyncio.to_thread(world.etcd.start)
    await world.until(world.etcd.is_ready, 20, "etcd is there")
    ready = await world.until(process.is_ready, 60, "the service serves")
    await asyncio.to_thread(process.stop)
    return [Measured("7", "etcd last to start: serving and advertised", 10, ready, holds=waited)]


async def paused(world: World) -> list[Measured]:
    """An instance is frozen under load for longer than its TTL, and goes on."""
    async with world.instances(3) as (one, *_), world.caller() as services:
        endpoint = services.pool(SERVICE).endpoints[one.address]
        async with Load(services, RATE) as load:
            await load.run(1)
            slow_before = len(load.seconds)
            one.pause()
            left = await world.until(
                lambda: endpoint.ejected is not None or endpoint.health is not Health.SERVING,
                10,
                "the caller leaves it",
            )
            gone = await world.until(lambda: one.address not in world.advertised(), world.ttl * 3, "its key expires")
            slowest = max(load.seconds[slow_before:])
            one.resume()
            back = await world.until(lambda: one.address in world.advertised().values(), world.ttl, "it is back")
            entries = [address for address in world.advertised().values() if address == one.address]

            def called_again() -> bool:
                now = services.pool(SERVICE).endpoints.get(one.address)
                return now is not None and now.health is Health.SERVING and now.ejected is None

            returned = await world.until(called_again, 15, "the caller uses it again")
            await load.run(0.5)
    return [
        Measured("12", "SIGSTOP: the caller sends no more calls to it", 1, left),
        Measured("12", f"SIGSTOP under {RATE:g} calls/s: the slowest call", 1.5, slowest),
        Measured("12", "SIGSTOP: failed calls", 0, sum(load.failed.values()), "calls", str(load)),
        Measured("8", "SIGSTOP: the key expires", world.ttl + 1, gone),
        Measured("8", "SIGCONT: back, once", world.ttl / 3 + 2 + SLACK_SECONDS, back, holds=len(entries) == 1),
        Measured("12", "SIGCONT: called again", 10, returned),
    ]


async def watch_broken(world: World) -> list[Measured]:
    """What can go wrong with a watch, each followed by an entry that the caller must see."""
    rows = []
    for interface in ("etcd-v2", "etcd-v3"):
        async with Proxy(world.etcd.address) as proxy:
            direct = await open_registry(world.settings(discovery=interface).registry)
            watched = await open_registry(world.settings(discovery=interface, etcd=proxy.address).registry)
            seen: list[dict[str, str]] = []
            following = asyncio.create_task(_follow(watched, seen))
            forget = partial(asyncio.to_thread, _forget_history, world, interface)
            faults: list[tuple[str, Callable[[], Awaitable[None] | None]]] = [
                ("a half-open connection", proxy.half_open),
                ("its history cleared or compacted", forget),
            ]
            if interface == "etcd-v2":
                faults.append(("empty 200 answers", proxy.answer_nothing))
            for number, (what, break_it) in enumerate(faults):
                await asyncio.sleep(0.5)
                under_way = break_it()
                if under_way is not None:
                    await under_way
                if what == "empty 200 answers":
                    await asyncio.sleep(3)
                    proxy.heal()
                await direct.advertise("Watched", f"n{number}", "h:1", 60)
                took = await world.until(partial(_has, seen, f"n{number}"), 15, f"the entry after {what}")
                rows.append(Measured("9", f"{interface}: the watch after {what} sees a new entry", 7, took))
            following.cancel()
            for number in range(len(faults)):
                await direct.withdraw("Watched", f"n{number}", "h:1")
            await direct.close()
            await watched.close()
    return rows


async def rolling_restart(world: World) -> list[Measured]:
    """Each of two is stopped and started again, the next only when the first serves."""
    async with world.instances(2) as processes, world.caller() as services, Load(services, RATE) as load:
        await load.run(1)
        for process in processes:
            await asyncio.to_thread(process.restart)
            await world.until(process.is_ready, 60, "it serves again")
        await load.run(1)
        await load.__aexit__(None, None, None)
        wrong = await load.lost_or_doubled()
    return [
        Measured(
            "13",
            f"rolling restart under {RATE:g} calls/s: failed calls",
            0,
            sum(load.failed.values()),
            "calls",
            str(load),
        ),
        Measured("13", "comments acknowledged meanwhile and lost, or there twice", 0, wrong, "comments"),
    ]


async def scaling(world: World) -> list[Measured]:
    """2 -> 4 -> 2 under load."""
    async with world.instances(2) as old, world.caller() as services, Load(services, RATE) as load:
        pids = [process.pid for process in old]
        await load.run(1)
        async with world.instances(2) as new:
            share = 0.0
            for process in new:

                def has_share(process: ServiceProcess = process) -> bool:
                    endpoint = services.pool(SERVICE).endpoints.get(process.address)
                    return endpoint is not None and endpoint.health is Health.SERVING

                share = max(share, await world.until(has_share, 20, "a new instance is called"))
            await load.run(2)
        await load.run(1)
        same = pids == [process.pid for process in old] and all(process.alive for process in old)
    return [
        Measured("13", "2 to 4: a new instance is called", 5, share, holds=same),
        Measured(
            "13", f"2 to 4 to 2 under {RATE:g} calls/s: failed calls", 0, sum(load.failed.values()), "calls", str(load)
        ),
    ]


async def storm(world: World) -> list[Measured]:
    """Many instances and callers at once at an etcd with users of its own, and again after its restart. The TTL is always 10 s."""
    rows = []
    for plan in STORMS.values():
        with tempfile.TemporaryDirectory(dir=world.folder) as folder:
            measured = await let_storm(plan, Path(folder))
        who = f"{plan.kind.discovery} with users, {plan.instances} instances and {plan.callers} callers at once"
        for fault, seconds in ((who, measured.start), (f"{who}, etcd restarted", measured.restart)):
            rows += [
                Measured("18", f"{fault}: all registered", plan.bound, seconds.registered),
                Measured("18", f"{fault}: all callers have all lists", plan.bound, seconds.following),
            ]
        rows.append(Measured("18", f"{who}: entries lost", 0, measured.lost, "entries"))
    return rows


TRIALS: dict[str, Trial] = {
    trial.__name__.replace("_", "-"): trial
    for trial in (
        port_taken,
        killed,
        stopped_in_order,
        key_deleted,
        etcd_wiped,
        etcd_away,
        partition,
        hundred_instances,
        cassandra_away,
        any_order,
        paused,
        watch_broken,
        rolling_restart,
        scaling,
        storm,
    )
}
SHORT = ("port-taken", "killed", "key-deleted", "paused", "watch-broken", "rolling-restart")
"""The cut that runs with every test."""


def _has(seen: list[dict[str, str]], instance: str) -> bool:
    return bool(seen) and instance in seen[-1]


async def _follow(registry: Registry, seen: list[dict[str, str]]) -> None:
    while True:
        try:
            async with aclosing(registry.watch("Watched")) as lists:
                async for instances in lists:
                    seen.append(instances)
        except RegistryUnavailable:
            await asyncio.sleep(0.3)


def _one_call(process: ServiceProcess) -> tuple[str, float]:
    began = time.monotonic()
    with grpc.insecure_channel(process.address) as channel:
        try:
            question = comments.GetVideoCommentsRequest(video_id=Uuid(value=str(uuid.uuid4())), page_size=5)
            comments_pb2_grpc.CommentsServiceStub(channel).GetVideoComments(question, timeout=10)
            status = "OK"
        except grpc.RpcError as error:
            status = error.code().name
    return status, time.monotonic() - began


def _directory_exists(world: World) -> bool:
    """Whether the service has a directory, also an empty one."""
    answer = subprocess.run(
        [
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            f"{world.etcd.url}/v2/keys/killrvideo/services/{SERVICE}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() != "404"


def _delete(world: World, path: str) -> None:
    request = urllib.request.Request(
        f"{world.etcd.url}/v2/keys/killrvideo/services/{path}?recursive=true", method="DELETE"
    )
    urllib.request.urlopen(request, timeout=2).close()


def _entries(world: World, service: str) -> list[str]:
    try:
        with urllib.request.urlopen(f"{world.etcd.url}/v2/keys/killrvideo/services/{service}", timeout=2) as answer:
            return [node["value"] for node in json.load(answer)["node"].get("nodes", [])]
    except OSError:
        return []


def _etcd_writes(world: World) -> int:
    """Writes that etcd has done for anybody since it started."""
    with urllib.request.urlopen(f"{world.etcd.url}/v2/stats/store", timeout=2) as answer:
        counts = json.load(answer)
    return sum(count for name, count in counts.items() if name.endswith("Success") and not name.startswith("gets"))


def _forget_history(world: World, interface: str) -> None:
    """Make etcd forget the changes that a watch may wait behind."""
    if interface == "etcd-v2":
        for number in range(1100):
            body = f"value={number}".encode()
            urllib.request.urlopen(
                urllib.request.Request(f"{world.etcd.url}/v2/keys/elsewhere", body, method="PUT"), timeout=5
            ).close()
        return
    revision = _v3(world, "kv/put", {"key": "eA==", "value": "eA=="})["header"]["revision"]
    _v3(world, "kv/compaction", {"revision": revision})


def _v3(world: World, path: str, question: dict[str, Any]) -> Any:
    """Ask etcd's v3 interface in its JSON form."""
    request = urllib.request.Request(f"{world.etcd.url}/v3/{path}", json.dumps(question).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)
