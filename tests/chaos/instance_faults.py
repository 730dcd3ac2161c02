"""Faults of an instance: its port is taken, it is killed, stopped, paused or cut off from etcd."""

import asyncio
import time
from itertools import pairwise

from discovery.tests.proxy import Proxy
from grpc_discovery.balancing.endpoint import Health
from tests.chaos.etcd_requests import directory_exists
from tests.chaos.load import Load
from tests.chaos.world import RATE, SERVICE, SLACK_SECONDS, Measurement, World


async def port_taken(world: World) -> list[Measurement]:
    """A second instance on the port of the first."""
    async with world.instances(1) as (first,):
        second = world.instance(port=first.port)
        began = time.monotonic()
        second.start()
        code = await asyncio.to_thread(second.wait_end, 20)
        took = time.monotonic() - began
        log = second.log_text()  # both instances write to this file
        clear = code == 1 and f"port {first.port}" in log and log.count("advertised as") == 1
        return [
            Measurement(
                "1", "a port that is taken: ends with 1 and says so", 15, took, holds=clear and world.serves(first)
            )
        ]


async def killed(world: World) -> list[Measurement]:
    """`kill -9` of one of two, then of the last: the key, and in the end the directory, are gone within TTL + 1 s."""
    async with world.instances(2) as (one, other), world.caller() as services, Load(services, RATE) as load:
        await load.run(1)
        one.kill()
        gone = await world.until(lambda: one.address not in world.advertised(), world.ttl + 10, "the key goes")
        await load.run(1)
        await load.__aexit__(None, None, None)
        failed = load.failed
        lost_or_doubled = await load.lost_or_doubled()
        other.kill()
        directory = await world.until(lambda: not directory_exists(world), world.ttl + 10, "the directory goes")
    return [
        Measurement("3", "kill -9 of one of two: its key is gone", world.ttl + 1, gone),
        Measurement("3", "kill -9 of the last: no empty directory is left", world.ttl + 1, directory),
        Measurement("11", f"kill -9 under {RATE:g} calls/s: failed calls", 0, sum(failed.values()), "calls", str(load)),
        Measurement("13", "comments acknowledged meanwhile and lost, or there twice", 0, lost_or_doubled, "comments"),
    ]


async def stopped_in_order(world: World) -> list[Measurement]:
    """SIGTERM under load: no call fails, and the log shows the order."""
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
        "application: stopped",
    ]
    offsets = [log.find(line) for line in order]
    in_order = all(offset >= 0 for offset in offsets) and all(before < after for before, after in pairwise(offsets))
    return [
        Measurement("3", "SIGTERM: the key is removed", 2, gone),
        Measurement(
            "3",
            "SIGTERM: health, key, wait, calls, server, session, exit 0, in this order",
            15,
            took,
            holds=code == 0 and in_order,
        ),
        Measurement(
            "13", f"SIGTERM under {RATE:g} calls/s: failed calls", 0, sum(load.failed.values()), "calls", str(load)
        ),
    ]


async def paused(world: World) -> list[Measurement]:
    """An instance is paused under load for longer than its TTL, and resumed."""
    async with world.instances(3) as (one, *_), world.caller() as services:
        endpoint = services.pool(SERVICE).endpoints[one.address]
        async with Load(services, RATE) as load:
            await load.run(1)
            slow_before = len(load.seconds)
            one.pause()
            ejected = await world.until(
                lambda: endpoint.ejected is not None or endpoint.health is not Health.SERVING,
                10,
                "the caller ejects it",
            )
            gone = await world.until(lambda: one.address not in world.advertised(), world.ttl * 3, "its key expires")
            slowest = max(load.seconds[slow_before:])
            one.resume()
            back = await world.until(lambda: one.address in world.advertised().values(), world.ttl, "it is back")
            own_entries = [address for address in world.advertised().values() if address == one.address]

            def called_again() -> bool:
                current = services.pool(SERVICE).endpoints.get(one.address)
                return current is not None and current.health is Health.SERVING and current.ejected is None

            returned = await world.until(called_again, 15, "the caller uses it again")
            await load.run(0.5)
    return [
        Measurement("12", "SIGSTOP: the caller sends no more calls to it", 1, ejected),
        Measurement("12", f"SIGSTOP under {RATE:g} calls/s: the slowest call", 1.5, slowest),
        Measurement("12", "SIGSTOP: failed calls", 0, sum(load.failed.values()), "calls", str(load)),
        Measurement("8", "SIGSTOP: the key expires", world.ttl + 1, gone),
        Measurement("8", "SIGCONT: back, once", world.ttl / 3 + 2 + SLACK_SECONDS, back, holds=len(own_entries) == 1),
        Measurement("12", "SIGCONT: called again", 10, returned),
    ]


async def partition(world: World) -> list[Measurement]:
    """Everything between one instance and etcd is dropped; connections stay half open."""
    async with Proxy(world.etcd.address) as proxy:
        isolated = world.instance(KILLRVIDEO_ETCD=proxy.address)
        isolated.etcd = world.etcd.address
        async with world.instances(1), world.caller() as services:
            isolated.start()
            await world.until(isolated.is_ready, 90, "the instance behind the proxy serves")
            async with Load(services, RATE) as load:
                proxy.fall_silent()
                gone = await world.until(
                    lambda: isolated.address not in world.advertised(), world.ttl * 3, "its key expires"
                )
                still_serves = world.serves(isolated)
                proxy.heal()
                back = await world.until(lambda: isolated.address in world.advertised().values(), 30, "it is back")
                await load.run(0.5)
            await asyncio.to_thread(isolated.stop)
    return [
        Measurement(
            "5",
            "one instance cut off from etcd: its key expires, it serves on",
            world.ttl + 1,
            gone,
            holds=still_serves,
        ),
        Measurement("5", "the same, healed: back", 5 + SLACK_SECONDS, back),
        Measurement("5", "meanwhile: failed calls", 0, sum(load.failed.values()), "calls", str(load)),
    ]
