"""Trials that cut a node off run in a network namespace of their own, where they may change the routes of the loopback addresses.

`run_inside` starts a module there and returns what it measured; `enter` and `cut_off` are for that module.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from infra.layout import ROOT
from infra.processes import Process
from tests.chaos.world import Measurement, World

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


def enter(*addresses: str) -> None:
    """Bring up the loopback addresses of this network, and put the rules that cut addresses off before all others."""
    _ip("link", "set", "lo", "up")
    for address in addresses:
        if address != "127.0.0.1":
            _ip("address", "add", f"{address}/32", "dev", "lo")
    _ip("rule", "add", "pref", "10", "lookup", "local")
    _ip("rule", "delete", "pref", "0", "lookup", "local")


def cut_off(address: str, others: Iterable[str], cut: bool = True) -> None:
    """Drop whatever `address` sends to `others`, as a firewall does; `cut=False` ends that."""
    for other in others:
        _ip("rule", "add" if cut else "delete", "pref", "1", "from", address, "to", other, "blackhole")


def _ip(*arguments: Any) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
