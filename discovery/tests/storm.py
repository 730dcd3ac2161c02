"""The storm: many instances and callers come to one etcd with users at the same moment, and again after its restart (promise 18).

    python -m discovery.tests.storm v3      100 instances and 50 callers, all there within 10 s
    python -m discovery.tests.storm v2      20 instances and 10 callers, all there within 10 s

`make chaos` runs both as one of its trials. Two processes play all of them. Each instance and each caller has a token and connections of its
own, as if it were a process: what is shared in a process is shared by etcd's address, and each of them has one of its own in 127.0.0.0/8.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from discovery.tests.etcds import KINDS, PASSWORD, Kind
from grpc_discovery import Discovery, Registration, Registry, RegistryUnavailable, Settings, open_registry
from infra.etcd import Etcd
from infra.layout import ROOT
from infra.ports import free_port

SERVICES = [f"acme.storm.v1.Service{number}" for number in range(7)]
MARKER = "after-the-restart"
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
    steady: float = 2 * TTL
    """Seconds between the start and the restart of etcd."""

    def expected(self) -> dict[str, set[str]]:
        """The instances of each service."""
        return {
            service: {f"i{number}" for number in range(first, self.instances, 7)}
            for first, service in enumerate(SERVICES)
        }


@dataclass(frozen=True)
class Seconds:
    """How long it took until all entries were written, and until all callers had the lists of all services."""

    registered: float
    following: float


@dataclass(frozen=True)
class Measured:
    """What a storm did."""

    start: Seconds
    restart: Seconds
    lost: int
    """Entries that a caller missed at any time after it had them all, or that are not in etcd at the end."""


STORMS = {"v2": Storm(KINDS[0], 20, 10), "v3": Storm(KINDS[1], 100, 50)}


async def storm(plan: Storm, folder: Path) -> Measured:
    """Let it come, with a new etcd in `folder`."""
    # All addresses of this machine: see `_settings`.
    port = free_port("0.0.0.0")
    everywhere = [f"--listen-client-urls=http://0.0.0.0:{port}"]
    etcd = Etcd(folder / "etcd", port, v2=plan.kind.v2, program=plan.kind.program, options=everywhere)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(etcd.start)
        stack.push_async_callback(asyncio.to_thread, etcd.stop)
        await asyncio.to_thread(etcd.wait_ready)
        await asyncio.to_thread(plan.kind.ask_for_user, etcd.address)
        players = await stack.enter_async_context(_players(plan, port, folder))
        began = time.monotonic()
        await asyncio.gather(*(player.ask("begin") for player in players))
        start, _ = await _until_all(players, began)
        lost = await _lost_in(players, plan.steady)
        await asyncio.to_thread(etcd.restart)
        began = time.monotonic()
        # What counts is what is written from now on, and lists that hold what did not stand there before.
        await asyncio.gather(*(player.ask("restarted") for player in players))
        registry = await open_registry(_settings(plan.kind, port, 0).registry)
        marking = asyncio.create_task(_mark(registry, began))
        restart, lost_after = await _until_all(players, began)
        await marking
        lost = max(lost, lost_after, await _lost_in(players, 2.0))
        for service, instances in plan.expected().items():
            lost += len(instances - (await registry.list(service)).keys())
        await registry.close()
        return Measured(start, restart, lost)


def _settings(kind: Kind, port: int, number: int) -> Settings:
    """Settings of an instance, a caller, or (0) of whoever looks on; each reaches etcd by an address of its own."""
    return Settings.from_environment(
        "STORM_",
        {},
        etcd=f"127.0.{1 + number // 250}.{1 + number % 250}:{port}",
        discovery=kind.discovery,
        etcd_username="root",
        etcd_password=PASSWORD,
        ttl=TTL,
    )


async def _mark(registry: Registry, began: float) -> None:
    """Put one more entry into each service: only who follows sees it."""
    for service in SERVICES:
        while time.monotonic() - began < MAX_SECONDS:
            try:
                await registry.advertise(service, MARKER, "127.0.0.1:1", MAX_SECONDS)
                break
            except RegistryUnavailable:
                await asyncio.sleep(0.2)


class _Player:
    """One of the processes. It is asked by a line and answers by one, of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, what: str) -> dict[str, int]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{what}\n".encode())
        answer: dict[str, int] = json.loads(await self._process.stdout.readline())
        return answer

    async def end(self) -> None:
        await self.ask("end")
        await self._process.wait()


async def _status(players: list[_Player]) -> dict[str, int]:
    answers = await asyncio.gather(*(player.ask("status") for player in players))
    return {name: sum(answer[name] for answer in answers) for name in answers[0]}


async def _until_all(players: list[_Player], began: float) -> tuple[Seconds, int]:
    """Wait until all is there, and count the entries lost on the way."""
    took = dict.fromkeys(("unregistered", "not_following"), MAX_SECONDS)
    waiting, lost = set(took), 0
    while waiting and time.monotonic() - began < MAX_SECONDS:
        status = await _status(players)
        lost = max(lost, status["lost"])
        for name in [name for name in waiting if not status[name]]:
            took[name] = time.monotonic() - began
            waiting.remove(name)
        await asyncio.sleep(0.1)
    return Seconds(took["unregistered"], took["not_following"]), lost


async def _lost_in(players: list[_Player], seconds: float) -> int:
    until, lost = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        lost = max(lost, (await _status(players))["lost"])
        await asyncio.sleep(0.2)
    return lost


@asynccontextmanager
async def _players(plan: Storm, port: int, folder: Path) -> AsyncIterator[list[_Player]]:
    """The processes, ready to begin."""
    players = []
    for number in range(PROCESSES):
        roles = {
            "kind": KINDS.index(plan.kind),
            "port": port,
            "all_instances": plan.instances,
            "instances": list(range(number, plan.instances, PROCESSES)),
            "callers": list(range(number, plan.callers, PROCESSES)),
        }
        with (folder / f"player-{number}.log").open("w") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "discovery.tests.storm", "play", json.dumps(roles)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
            )
        players.append(_Player(process))
    await asyncio.gather(*(player.ask("ready?") for player in players))
    try:
        yield players
    finally:
        await asyncio.gather(*(player.end() for player in players))


# One process of the storm.


class _Noting:
    """A registry that notes when its entry was last written."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.written_at = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    async def advertise(self, service: str, instance: str, address: str, ttl: float) -> None:
        await self._registry.advertise(service, instance, address, ttl)
        self.written_at = time.monotonic()

    async def renew(self, service: str, instance: str, address: str, ttl: float) -> bool:
        renewed = await self._registry.renew(service, instance, address, ttl)
        if renewed:
            self.written_at = time.monotonic()
        return renewed


class _Played:
    """The instances and callers of this process."""

    def __init__(self, roles: dict[str, Any]) -> None:
        self._roles = roles
        self._plan = Storm(KINDS[roles["kind"]], roles["all_instances"], 0)
        self._expected = self._plan.expected()
        self._marker: set[str] = set()
        self._since = 0.0
        self._registries: list[_Noting] = []
        self._entries: list[Registration] = []
        self._callers: list[Discovery] = []
        self._has_followed = False

    async def begin(self) -> None:
        for number in self._roles["instances"]:
            registry = _Noting(await open_registry(self._settings(1 + number).registry))
            service, address = SERVICES[number % 7], f"127.0.0.1:{20_000 + number}"
            entry = Registration(cast(Registry, registry), service, f"i{number}", address, TTL)
            entry.set_serving(True)
            entry.start()
            self._registries.append(registry)
            self._entries.append(entry)
        for number in self._roles["callers"]:
            self._callers.append(await Discovery(self._settings(1 + self._plan.instances + number)).__aenter__())
            self._lists(self._callers[-1])

    def restarted(self) -> None:
        self._since, self._marker = time.monotonic(), {MARKER}

    def status(self) -> dict[str, int]:
        missing = [
            {
                f"{service}/{instance}"
                for service, instances in self._expected.items()
                for instance in (instances | self._marker) - lists[service]
            }
            for lists in map(self._lists, self._callers)
        ]
        self._has_followed = self._has_followed or (bool(missing) and not any(missing))
        entries = {each for part in missing for each in part if not each.endswith(f"/{MARKER}")}
        return {
            "unregistered": sum(each.written_at <= self._since for each in self._registries),
            "not_following": sum(bool(each) for each in missing),
            "lost": len(entries) if self._has_followed else 0,
        }

    async def end(self) -> None:
        await asyncio.gather(*(entry.withdraw() for entry in self._entries))
        await asyncio.gather(*(caller.__aexit__(None, None, None) for caller in self._callers))
        await asyncio.gather(*(registry.close() for registry in self._registries))

    def _settings(self, number: int) -> Settings:
        return _settings(self._plan.kind, self._roles["port"], number)

    def _lists(self, caller: Discovery) -> dict[str, set[str]]:
        """What a caller has now. To ask for a list is to follow it from then on."""
        return {service: set(caller.instances(service)) for service in SERVICES}


async def _play(roles: dict[str, Any]) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    played = _Played(roles)
    async for line in reader:
        match line.decode().strip():
            case "begin":
                await played.begin()
            case "restarted":
                played.restarted()
            case "end":
                break
        print(json.dumps(played.status()), flush=True)
    await played.end()
    print("{}", flush=True)


async def _run(plan: Storm) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measured = await storm(plan, Path(folder))
        print(measured)
        for log in Path(folder).glob("player-*.log"):  # noqa: ASYNC240  the storm is over
            sys.stderr.write(log.read_text())
    took = (each for when in (measured.start, measured.restart) for each in (when.registered, when.following))
    if max(took) > plan.bound or measured.lost:
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1] == "play":
        asyncio.run(_play(json.loads(sys.argv[2])))
    else:
        asyncio.run(_run(STORMS[sys.argv[1]]))
