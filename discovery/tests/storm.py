"""The storm: many instances and callers that come to one etcd with users at the same moment, and again after its restart (promise 18).

    python -m discovery.tests.storm v3      100 instances and 50 callers, all there within 10 s
    python -m discovery.tests.storm v2      20 instances and 10 callers, all there within 10 s

A few processes play all of them. Each instance and each caller has a registry object and a token of its own, as if it were a process.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from discovery.tests.etcds import KINDS, PASSWORD, Kind
from grpc_discovery.registration import Registration, State
from grpc_discovery.registry import Registry, RegistryUnavailable, open_registry
from grpc_discovery.settings import RegistrySettings, Settings
from infra.etcd import Etcd
from infra.layout import ROOT

SERVICES = [f"acme.storm.v1.Service{number}" for number in range(7)]
PROCESSES = 2
TTL = 10.0
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class Storm:
    """What comes at once."""

    kind: Kind
    instances: int
    callers: int
    bound: float = 10.0
    """Seconds within which all must be there."""


@dataclass(frozen=True)
class Measured:
    """Seconds until every entry was there and every caller had every list; entries lost while nothing happened must be 0."""

    after_start: float
    after_restart: float
    lost_when_steady: int


STORMS = {"v2": Storm(KINDS[0], 20, 10), "v3": Storm(KINDS[1], 100, 50)}


async def storm(plan: Storm, folder: Path, steady: float = 2 * TTL) -> Measured:
    """Run it. `steady` is how many seconds are watched, between start and restart, for entries that go missing."""
    etcd = plan.kind.etcd(folder)
    async with _running(etcd):
        await asyncio.to_thread(plan.kind.ask_for_user, etcd.address)
        async with _players(plan, etcd, folder) as players:
            after_start = await _until_all(players, time.monotonic())
            steady_until = time.monotonic() + steady
            lost = 0
            while time.monotonic() < steady_until:
                await asyncio.sleep(1)
                lost = max(lost, sum([(await player.status()).missing for player in players]))
            await asyncio.to_thread(etcd.restart)
            began = time.monotonic()
            await asyncio.to_thread(etcd.wait_ready)
            for player in players:
                await player.ask("restarted")
            return Measured(after_start, await _until_all(players, began), lost)


@asynccontextmanager
async def _running(etcd: Etcd) -> AsyncIterator[None]:
    await asyncio.to_thread(etcd.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(etcd.stop)


async def _until_all(players: "list[_Player]", began: float) -> float:
    while any([(await player.status()).missing for player in players]):
        if time.monotonic() - began > MAX_SECONDS:
            break
        await asyncio.sleep(0.1)
    return time.monotonic() - began


@dataclass(frozen=True)
class _Status:
    missing: int


class _Player:
    """One of the processes, asked by a line and answering by one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, what: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{what}\n".encode())
        return (await self._process.stdout.readline()).decode()

    async def status(self) -> _Status:
        return _Status(**json.loads(await self.ask("status")))

    async def end(self) -> None:
        await self.ask("end")
        await self._process.wait()


@asynccontextmanager
async def _players(plan: Storm, etcd: Etcd, folder: Path) -> AsyncIterator[list[_Player]]:
    """The processes, ready and told to begin."""
    players = []
    for number in range(PROCESSES):
        roles = {
            "address": etcd.address,
            "discovery": plan.kind.discovery,
            "instances": list(range(number, plan.instances, PROCESSES)),
            "callers": len(range(number, plan.callers, PROCESSES)),
            "all_instances": plan.instances,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "discovery.tests.storm", "play", json.dumps(roles)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=(folder / f"player-{number}.log").open("w"),
            cwd=ROOT,
        )
        players.append(_Player(process))
    for player in players:
        await player.ask("ready?")
    await asyncio.gather(*(player.ask("begin") for player in players))
    try:
        yield players
    finally:
        await asyncio.gather(*(player.end() for player in players))


# One process of the storm.


class _Caller:
    """Follows all services, as a caller of them does, and begins again as one does."""

    def __init__(self, registry: Registry, expected: dict[str, set[str]]) -> None:
        self._expected = expected
        self.lists: dict[str, set[str]] = {}
        self.tasks = [asyncio.create_task(self._follow(registry, service)) for service in SERVICES]

    async def _follow(self, registry: Registry, service: str) -> None:
        while True:
            try:
                async with aclosing(registry.watch(service)) as lists:  # type: ignore[type-var]  # it is a generator
                    async for instances in lists:
                        self.lists[service] = set(instances)
            except RegistryUnavailable as error:
                print("caller:", error, file=sys.stderr)
            # As the balancer's resolver does.
            await asyncio.sleep(0.3 + 0.7 * time.monotonic() % 1)

    def missing(self) -> int:
        return sum(self.lists.get(service) != instances for service, instances in self._expected.items())


async def _play(roles: dict[str, object]) -> None:  # noqa: PLR0912  a branch for each word that is said to it
    values = {
        "etcd": roles["address"],
        "discovery": roles["discovery"],
        "etcd_username": "root",
        "etcd_password": PASSWORD,
    }
    settings = Settings.from_environment("STORM_", {}, **values).registry
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    expected: dict[str, set[str]] = {service: set() for service in SERVICES}
    for number in range(int(str(roles["all_instances"]))):
        expected[SERVICES[number % 7]].add(f"i{number}")
    registries: list[Registry] = []
    kept: list[Registration] = []
    callers: list[_Caller] = []
    async for line in reader:
        match line.decode().strip():
            case "begin":
                for number in roles["instances"]:  # type: ignore[attr-defined]  # it is a list
                    registries.append(await _open(settings))
                    service, address = SERVICES[number % 7], f"127.0.0.1:{20_000 + number}"
                    kept.append(Registration(registries[-1], service, f"i{number}", address, TTL))
                    kept[-1].set_serving(True)
                    kept[-1].start()
                for _ in range(int(str(roles["callers"]))):
                    registries.append(await _open(settings))
                    callers.append(_Caller(registries[-1], expected))
            case "restarted":
                # Only lists that are read, and entries that are renewed, after the restart count.
                for caller in callers:
                    caller.lists.clear()
                for each in kept:
                    each.state = State.LOST
            case "end":
                break
        missing = sum(each.state is not State.ADVERTISED for each in kept) + sum(each.missing() for each in callers)
        print(json.dumps({"missing": missing}), flush=True)
    for each in kept:
        await each.withdraw()
    for caller in callers:
        for task in caller.tasks:
            task.cancel()
    for registry in registries:
        await registry.close()
    print("{}", flush=True)


async def _open(settings: RegistrySettings) -> Registry:
    """A registry object that shares no token with others, as in a process of its own."""
    from grpc_discovery.registry import etcd_v3_auth

    etcd_v3_auth._shared.clear()
    return await open_registry(settings)


async def _run(plan: Storm) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measured = await storm(plan, Path(folder))
        print(measured)
        for log in Path(folder).glob("player-*.log"):  # noqa: ASYNC240  the storm is over
            sys.stderr.write(log.read_text())
    if max(measured.after_start, measured.after_restart) > plan.bound or measured.lost_when_steady:
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1] == "play":
        asyncio.run(_play(json.loads(sys.argv[2])))
    else:
        asyncio.run(_run(STORMS[sys.argv[1]]))
