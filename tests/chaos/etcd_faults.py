"""Faults of etcd: entries deleted, data lost, etcd stopped or paused, broken watches, and many instances at once."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

from discovery.tests.proxy import Proxy
from discovery.tests.storm import STORMS
from discovery.tests.storm import storm as run_storm
from grpc_discovery import Registration, Registry, RegistryUnavailable, State, open_registry
from tests.chaos.etcd_requests import delete, entries_of, forget_history, writes_done
from tests.chaos.load import Load
from tests.chaos.world import RATE, SERVICE, SLACK_SECONDS, Measurement, World


async def key_deleted(world: World) -> list[Measurement]:
    """Somebody deletes one key, then the whole directory."""
    async with world.instances(2) as processes:
        addresses = {process.address for process in processes}
        delete(world, f"{SERVICE}/{processes[0].address}")
        one = await world.until(lambda: addresses <= set(world.advertised().values()), world.ttl * 2, "the key is back")
        delete(world, SERVICE)
        whole = await world.until(
            lambda: addresses <= set(world.advertised().values()), world.ttl * 2, "the directory is back"
        )
    renewal = world.ttl / 3 + SLACK_SECONDS
    return [
        Measurement("4", "one key deleted: back", renewal, one),
        Measurement("4", "the whole directory deleted: back", renewal, whole),
    ]


async def etcd_wiped(world: World) -> list[Measurement]:
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
        Measurement("4", "etcd restarted empty: all back, no restart", world.ttl, back, holds=same),
        Measurement("10", "meanwhile: failed calls", 0, sum(load.failed.values()), "calls", str(load)),
    ]


async def etcd_away(world: World) -> list[Measurement]:
    """etcd is stopped for longer than a TTL, then hangs for as long."""
    rows = []
    async with world.instances(2) as processes, world.caller() as services:
        addresses = {process.address for process in processes}
        for fault, stop, resume in (
            ("stopped", world.etcd.stop, world.etcd.start),
            ("paused (SIGSTOP)", world.etcd.pause, world.etcd.resume),
        ):
            async with Load(services, RATE) as load:
                before = sum(process.log_text().count("advertised as") for process in processes)
                await asyncio.to_thread(stop)
                await load.run(world.ttl + 3)
                await asyncio.to_thread(resume)
                await world.until(world.etcd.is_ready, 20, "etcd is back")

                def all_back(before: int = before) -> bool:
                    # Old entries may be there still, so each instance must also have logged that it is advertised again.
                    logged = sum(process.log_text().count("advertised as") for process in processes) - before
                    return logged >= len(processes) and addresses <= set(world.advertised().values())

                back = await world.until(all_back, 30, "all are back")
                await load.run(1)
            rows += [
                Measurement(
                    "5", f"etcd {fault} for {world.ttl + 3:g} s: all back after its return", 5 + SLACK_SECONDS, back
                ),
                Measurement(
                    "5", f"etcd {fault}: failed calls meanwhile", 0, sum(load.failed.values()), "calls", str(load)
                ),
            ]
    return rows


async def hundred_instances(world: World) -> list[Measurement]:
    """A hundred registrations in this process; the writes of etcd are counted while they are idle, then etcd is restarted."""
    registry = await open_registry(world.settings().registry)
    registrations = [
        Registration(registry, f"Simulated{number % 7}", f"h:{number + 1}", f"h:{number + 1}", world.ttl)
        for number in range(100)
    ]
    try:
        for registration in registrations:
            registration.set_serving(True)
            registration.start()
        await world.until(
            lambda: all(registration.state is State.ADVERTISED for registration in registrations),
            20,
            "a hundred are advertised",
        )
        before, began = writes_done(world), time.monotonic()
        await asyncio.sleep(world.ttl)
        rate = (writes_done(world) - before) / (time.monotonic() - began)
        expected = 100 / (world.ttl / 3 * 0.95)
        await asyncio.to_thread(world.etcd.stop)
        await asyncio.sleep(world.ttl + 1)
        await asyncio.to_thread(world.etcd.start)
        await world.until(world.etcd.is_ready, 20, "etcd is back")

        def all_there() -> bool:
            return sum(len(entries_of(world, f"Simulated{number}")) for number in range(7)) == 100

        back = await world.until(all_there, 30, "a hundred are back")
        note = f"arithmetic says {expected:.0f} a second"
        return [
            Measurement("5", "a hundred instances after an etcd restart: all back", 5 + SLACK_SECONDS, back),
            Measurement(
                "2", "etcd's writes a second for a hundred idle instances", expected * 1.25, rate, "writes/s", note
            ),
        ]
    finally:
        await asyncio.gather(*(registration.withdraw() for registration in registrations))
        await registry.close()


async def watch_broken(world: World) -> list[Measurement]:
    """Faults of a watch; after each of them comes an entry that the caller must see."""
    rows = []
    for interface in ("etcd-v2", "etcd-v3"):
        async with Proxy(world.etcd.address) as proxy:
            direct = await open_registry(world.settings(discovery=interface).registry)
            watched = await open_registry(world.settings(discovery=interface, etcd=proxy.address).registry)
            seen: list[dict[str, str]] = []
            following = asyncio.create_task(_follow(watched, seen))
            forget = partial(asyncio.to_thread, forget_history, world, interface)
            faults: list[tuple[str, Callable[[], Awaitable[None] | None]]] = [
                ("a half-open connection", proxy.half_open),
                ("its history cleared or compacted", forget),
            ]
            if interface == "etcd-v2":
                faults.append(("empty 200 answers", proxy.answer_nothing))
            for number, (fault, cause) in enumerate(faults):
                await asyncio.sleep(0.5)
                pending = cause()
                if pending is not None:
                    await pending
                if fault == "empty 200 answers":
                    await asyncio.sleep(3)
                    proxy.heal()
                await direct.advertise("Watched", f"n{number}", "h:1", 60)
                took = await world.until(partial(_has, seen, f"n{number}"), 15, f"the entry after {fault}")
                rows.append(Measurement("9", f"{interface}: the watch after {fault} sees a new entry", 7, took))
            following.cancel()
            for number in range(len(faults)):
                await direct.withdraw("Watched", f"n{number}", "h:1")
            await direct.close()
            await watched.close()
    return rows


async def storm(world: World) -> list[Measurement]:
    """Many instances and callers at once at an etcd with users of its own, and again after its restart. The TTL is always 10 s."""
    rows = []
    for plan in STORMS.values():
        with tempfile.TemporaryDirectory(dir=world.folder) as folder:
            measured = await run_storm(plan, Path(folder))
        who = f"{plan.kind.discovery} with users, {plan.instances} instances and {plan.callers} callers at once"
        for fault, seconds in ((who, measured.start), (f"{who}, etcd restarted", measured.restart)):
            rows += [
                Measurement("18", f"{fault}: all registered", plan.bound, seconds.registered),
                Measurement("18", f"{fault}: all callers have all lists", plan.bound, seconds.following),
            ]
        rows.append(Measurement("18", f"{who}: entries lost", 0, measured.lost, "entries"))
    return rows


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
