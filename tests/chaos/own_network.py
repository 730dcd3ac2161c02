"""Trials that cut a node off run in a network namespace of their own; the node is in a second one, at the far end of a cable (a veth pair).

`run_inside` starts a module there and returns what it measured; `enter` and `far_network` are for that module.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from infra.layout import ROOT
from infra.processes import Process, wait_until
from tests.chaos.world import Measurement, World

NEAR_HOSTS = ("10.13.0.1", "10.13.0.2")
FAR_HOST = "10.13.0.3"
_NEAR_DEVICE, _FAR_DEVICE = "near", "far"
_NEAR_MAC, _FAR_MAC = "02:00:00:00:00:01", "02:00:00:00:00:03"
_MARK = "measured: "


async def run_inside(world: World, module: str, *arguments: str, seconds: float = 1200) -> list[Measurement]:
    """Run `python -m module FOLDER …` in a network of its own. It prints what it measures with `report`."""
    folder = world.folder / module.rsplit(".", 1)[1]
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", module, str(folder), *arguments]
    process = Process(module, command, world.folder / f"{folder.name}.log", folder=ROOT)
    process.start()
    try:
        code = await asyncio.to_thread(process.wait_end, seconds)
    finally:
        await asyncio.to_thread(process.stop)
    assert code == 0, f"{module} ended with {code}; the end of its log:\n{process.log_end()}"
    lines = [line.removeprefix(_MARK) for line in process.log_text().splitlines() if line.startswith(_MARK)]
    return [Measurement(**json.loads(line)) for line in lines]


def report(rows: Iterable[Measurement]) -> None:
    """Print measurements for `run_inside`."""
    for row in rows:
        print(f"{_MARK}{json.dumps(asdict(row))}", flush=True)


class Cable(NamedTuple):
    """The cable between this network and the far one.

    A command with `prefix` before it runs at the far end. `nsenter` becomes that command: the process id stays the same.
    """

    prefix: tuple[str, ...]

    def cut(self) -> None:
        """Both ends drop whatever comes in over the cable and answer nothing, as a firewall does."""
        self._at_both_ends("add")

    def mend(self) -> None:
        """End what `cut` began."""
        self._at_both_ends("delete")

    def _at_both_ends(self, action: str) -> None:
        for prefix, device in (((), _NEAR_DEVICE), (self.prefix, _FAR_DEVICE)):
            _ip("rule", action, "pref", "1", "iif", device, "blackhole", prefix=prefix)


def enter() -> None:
    """Make this network, a new one, ready for use."""
    _bring_up(())


@contextmanager
def far_network(folder: Path) -> Iterator[Cable]:
    """A network namespace with the address FAR_HOST, joined by a cable to this one, which gets NEAR_HOSTS.

    It lasts for the block; whatever was started in it must have ended by then. `folder` is for the log of the process that holds it.
    """
    own = _namespace("self")
    with Process("far network", ["unshare", "--net", "sleep", "infinity"], folder / "far_network.log") as holder:
        wait_until(lambda: _namespace(holder.pid) != own, 10, "a network namespace for the far end")
        cable = Cable(("nsenter", f"--net=/proc/{holder.pid}/ns/net"))
        near_end = ("name", _NEAR_DEVICE, "address", _NEAR_MAC, "type", "veth")
        _ip("link", "add", *near_end, "peer", "name", _FAR_DEVICE, "address", _FAR_MAC, "netns", holder.pid)
        _bring_up(cable.prefix)
        _attach((), _NEAR_DEVICE, NEAR_HOSTS, {FAR_HOST: _FAR_MAC})
        _attach(cable.prefix, _FAR_DEVICE, [FAR_HOST], dict.fromkeys(NEAR_HOSTS, _NEAR_MAC))
        yield cable


def _bring_up(prefix: Sequence[str]) -> None:
    """Bring up the loopback device of a new network, and look up its own addresses after the rules that cut a cable."""
    _ip("link", "set", "lo", "up", prefix=prefix)
    _ip("rule", "add", "pref", "10", "lookup", "local", prefix=prefix)
    _ip("rule", "delete", "pref", "0", "lookup", "local", prefix=prefix)


def _attach(prefix: Sequence[str], device: str, hosts: Iterable[str], others: Mapping[str, str]) -> None:
    """Give one end of the cable its addresses, and tell it where the `others` are (IP address -> MAC address).

    Nobody has to ask for a MAC address, then: a cut would leave the question unanswered too, and a caller would learn of it at once.
    """
    for host in hosts:
        _ip("address", "add", f"{host}/24", "dev", device, prefix=prefix)
    _ip("link", "set", device, "up", prefix=prefix)
    for host, mac in others.items():
        _ip("neighbour", "add", host, "lladdr", mac, "dev", device, "nud", "permanent", prefix=prefix)


def _namespace(process: int | str) -> str:
    """The network namespace that a process is in."""
    return os.readlink(f"/proc/{process}/ns/net")


def _ip(*arguments: Any, prefix: Sequence[str] = ()) -> None:
    """Run `ip`; what it says when it fails is in our output."""
    subprocess.run([*prefix, "ip", *map(str, arguments)], check=True)
